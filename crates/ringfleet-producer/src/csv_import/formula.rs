//! What spreadsheets leave in an exported cell in place of a value.

/// "Not available" where it ends with no sign: in German, Turkish, Hungarian, Slovak and Czech, and a value that was still being
/// fetched. The others have a letter on each side of a slash.
const NOT_AVAILABLE: [&str; 6] = ["NV", "YOK", "HIÁNYZIK", "NEDOSTUPNÝ", "NENÍ_K_DISPOZICI", "GETTING_DATA"];

/// Whether it stands for a formula that has failed, or for a column that was too narrow.
///
/// Excel has such a word in each language (`#VALUE!`, `#WERT!`, `#¡VALOR!`, `#ИМЯ?`), of capitals wherever a script has them, and some
/// more in each version, as Google Sheets has; LibreOffice puts a blank before the sign in French, and has numbers (`Err:502`). So they
/// are known by their form.
pub(super) fn is_failed(value: &str) -> bool {
    let Some(word) = value.strip_prefix('#') else {
        let code = value.strip_prefix("Err").and_then(|rest| rest.trim_start().strip_prefix(':'));
        return code.is_some_and(|code| !code.is_empty() && code.bytes().all(|byte| byte.is_ascii_digit()));
    };
    let is_capital = |c: char| c.is_alphabetic() && !c.is_lowercase();
    match word.strip_suffix(['!', '?']).map(str::trim_end) {
        Some(word) => !word.is_empty() && word.chars().all(|c| is_capital(c) || "/0_.¡¿".contains(c)),
        None => {
            let mut letters = word.chars();
            let is_parted = matches!(
                (letters.next(), letters.next(), letters.next(), letters.next()),
                (Some(one), Some('/'), Some(other), None) if is_capital(one) && is_capital(other)
            );
            is_parted || NOT_AVAILABLE.contains(&word) || (!word.is_empty() && word.chars().all(|c| c == '#'))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_spreadsheets_write_for_a_failed_formula_is_known_in_any_language() {
        let english =
            "#N/A #REF! #VALUE! #NAME? #DIV/0! #NUM! #NULL! #SPILL! #CALC! #FIELD! #BLOCKED! #CONNECT! #GETTING_DATA";
        let german = "#NV #WERT! #BEZUG! #ZAHL!";
        let others = "#VALEUR! #NOM? #N/D #I/T #Н/Д #ИМЯ? #¡VALOR! #¿NOMBRE? #¡DIV/0! #DĚLENÍ_NULOU! #ΔΙΑΙΡ./0!";
        let programs = "#ERROR! Err:502 ## ########";
        for failed in [english, german, others, programs].join(" ").split(' ').chain(["#VALEUR\u{a0}!", "Err :502"]) {
            assert!(is_failed(failed), "{failed}");
        }
    }

    #[test]
    fn a_value_that_only_begins_as_such_a_word_does_is_a_value() {
        for value in [
            "",
            "#",
            "#!",
            "#12",
            "#12!",
            "#vip",
            "#vip!",
            "#VIP",
            "#a/b",
            "#N/A or none",
            "#1/2",
            "Err:",
            "Err: x",
            "NV",
            "Why?",
        ] {
            assert!(!is_failed(value), "{value}");
        }
    }
}
