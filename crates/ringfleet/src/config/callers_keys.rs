//! Keys that open a listener: of a setting, separated by commas, and of a file, one on each line. A key that may only read the API
//! is nothing else.

use super::{reader::Reader, settings::read_private};

/// Shorter ones can be guessed.
const FEWEST_BYTES: usize = 16;

/// Each fault is told where its key stands, and without it.
pub(super) fn read_keys(r: &mut Reader<'_>, setting: &str, file_setting: &str) -> Option<Vec<String>> {
    let own = r.text(setting);
    let path = r.text(file_setting)?;
    let file = if path.is_empty() { Some(String::new()) } else { r.parsed(file_setting, read_private) };
    let (own, file) = (own?, file?);
    let own: Vec<&str> = own.split([',', '\n']).map(str::trim).filter(|key| !key.is_empty()).collect();
    // Whose key it is stands above it, behind a `#`.
    let is_key = |(_, line): &(usize, &str)| !line.is_empty() && !line.starts_with('#');
    let lines: Vec<(usize, &str)> = file.lines().map(str::trim).enumerate().filter(is_key).collect();

    if let Some(problem) = own.iter().find_map(|key| too_short(key)) {
        r.fault(setting, format!("one {problem}"));
    }
    if let Some(problem) = own.iter().find_map(|key| unprintable(key)) {
        r.fault(setting, format!("one {problem}"));
    }
    for fault in [too_short, unprintable] {
        if let Some((index, problem)) = lines.iter().find_map(|(index, key)| Some((index, fault(key)?))) {
            r.fault(file_setting, format!("line {} of the file {problem}", index + 1));
        }
    }
    // An empty file would open to everybody what was meant to be shut.
    if !path.is_empty() && own.is_empty() && lines.is_empty() {
        r.fault(file_setting, "the file holds no key; write one on a line, or leave the setting empty");
    }
    Some(own.into_iter().chain(lines.into_iter().map(|(_, key)| key)).map(str::to_owned).collect())
}

/// Told at `setting`, which says what `keys` are for.
pub(super) fn refuse_reading_ones(r: &mut Reader<'_>, setting: &str, keys: &[String], read_keys: &[String]) {
    if keys.iter().any(|key| read_keys.contains(key)) {
        let problem = "has, itself or in its file, a key of api.read_keys or api.read_keys_file, which may only read: give one of \
                       the two another key";
        r.fault(setting, problem);
    }
}

fn too_short(key: &str) -> Option<&'static str> {
    let problem = "is shorter than 16 characters, which can be guessed; make one with `openssl rand -hex 24`";
    (key.len() < FEWEST_BYTES).then_some(problem)
}

fn unprintable(key: &str) -> Option<&'static str> {
    let problem = "has a blank or a letter that is not ASCII in it, and can't stand in a header";
    (!key.bytes().all(|byte| byte.is_ascii_graphic())).then_some(problem)
}

#[cfg(test)]
mod tests {
    use super::super::load;

    /// The keys of a file that may send, or what is wrong with them.
    fn read(file: &str, more: &str) -> Result<Vec<String>, String> {
        let folder = tempfile::tempdir().unwrap();
        let (keys, settings) = (folder.path().join("keys"), folder.path().join("ringfleet.toml"));
        std::fs::write(&keys, file).unwrap();
        std::fs::write(&settings, format!("[api]\nkeys_file = {:?}\n{more}", keys.to_str().unwrap())).unwrap();
        load(Some(&settings)).unwrap().settings().map(|settings| settings.api.keys).map_err(|faults| faults.to_string())
    }

    #[test]
    fn keys_of_a_file_may_be_labelled_and_set_apart() {
        let file =
            "# the shop\nshop-0123456789abcdef\n\n  # the call centre, till May\r\n  centre-0123456789abcdef \r\n";
        assert_eq!(read(file, "").unwrap(), ["shop-0123456789abcdef", "centre-0123456789abcdef"]);
        let both = read(file, "keys = \"own-0123456789abcdef\"\n").unwrap();
        assert_eq!((both.len(), both[0].as_str()), (3, "own-0123456789abcdef"));
    }

    #[test]
    fn a_fault_of_a_key_is_told_where_it_stands_and_without_it() {
        let told = read("# a label\ncanary\n\nshop-0123456789abcdef\ncanary-key and more of it\n", "").unwrap_err();
        assert!(told.contains("api.keys_file: line 2 of the file is shorter than 16"), "{told}");
        assert!(told.contains("api.keys_file: line 5 of the file has a blank"), "{told}");
        assert!(!told.contains("api.keys:") && !told.contains("canary"), "{told}");
        let told = read("shop-0123456789abcdef", "keys = \"canary\"\n").unwrap_err();
        assert!(told.contains("api.keys: one is shorter") && !told.contains("keys_file"), "{told}");
    }

    #[test]
    fn a_key_that_may_only_read_is_no_key_that_may_send_and_no_operators() {
        let told = read(
            "# the shop\ncanary-0123456789abcdef\n",
            "read_keys = \"other-0123456789abcdef, canary-0123456789abcdef\"\n",
        );
        let told = told.unwrap_err();
        assert!(told.contains("api.keys: has, itself or in its file, a key of api.read_keys"), "{told}");
        assert!(!told.contains("canary"), "{told}");
        // All that is wrong with them is told together.
        let both = "keys = \"canary\"\nread_keys = \"canary\"\n[connect]\nlisten = \"127.0.0.1:8482\"\noperator_keys = \"canary\"\n";
        let told = read("canary-0123456789abcdef\n", both).unwrap_err();
        for part in [
            "api.keys: one is shorter",
            "api.read_keys: one is shorter",
            "api.keys: has, itself",
            "connect.operator_keys: one is shorter",
            "connect.operator_keys: has, itself",
        ] {
            assert!(told.contains(part) && !told.contains("canary"), "{part} is missing in:\n{told}");
        }
        let apart = "read_keys = \"reads-0123456789abcdef\"\n";
        assert_eq!(read("shop-0123456789abcdef\n", apart).unwrap(), ["shop-0123456789abcdef"]);
    }

    #[test]
    fn a_file_in_which_no_key_is_left_opens_nothing() {
        for file in ["", "\n", "# shop-0123456789abcdef\n"] {
            let told = read(file, "").unwrap_err();
            assert!(told.contains("api.keys_file: the file holds no key"), "{told}");
        }
        assert_eq!(read("# none yet\n", "keys = \"own-0123456789abcdef\"\n").unwrap().len(), 1);
    }
}
