//! Just enough of multipart to find the JSON part of a send.
//!
//! `@rc-ex/core`, .NET and Java post a `multipart/form-data` with a part `request.json` (seen on the wire); `multipart/mixed` is
//! documented as well. Framework extractors take only form-data and copy each part.

const HEAD_END: &[u8] = b"\r\n\r\n";

/// The first part that is JSON by its name or its content type.
pub(super) fn json_part<'a>(content_type: &str, body: &'a [u8]) -> Option<&'a [u8]> {
    let boundary = boundary(content_type)?;
    let delimiter = format!("--{boundary}");
    let mut rest = &body[find(body, delimiter.as_bytes())? + delimiter.len()..];
    let next = format!("\r\n{delimiter}");
    while !rest.starts_with(b"--") {
        let end = find(rest, next.as_bytes())?;
        let part = &rest[..end];
        let head_end = find(part, HEAD_END)?;
        let head = String::from_utf8_lossy(&part[..head_end]).to_ascii_lowercase();
        if head.contains("name=\"request.json\"")
            || head.contains("name=request.json")
            || head.contains("content-type: application/json")
        {
            return Some(&part[head_end + HEAD_END.len()..]);
        }
        rest = &rest[end + next.len()..];
    }
    None
}

fn boundary(content_type: &str) -> Option<&str> {
    content_type
        .split(';')
        .map(str::trim)
        .find_map(|parameter| {
            let (name, value) = parameter.split_once('=')?;
            name.eq_ignore_ascii_case("boundary").then(|| value.trim_matches('"'))
        })
        .filter(|boundary| !boundary.is_empty())
}

fn find(haystack: &[u8], needle: &[u8]) -> Option<usize> {
    haystack.windows(needle.len()).position(|window| window == needle)
}

#[cfg(test)]
mod tests {
    use super::json_part;

    #[test]
    fn the_json_part_is_found_among_others() {
        let body = b"preamble\r\n--b1\r\nContent-Disposition: form-data; name=\"x\"\r\n\r\n1\r\n--b1\r\n\
            Content-Disposition: form-data; name=\"request.json\"; filename=\"request.json\"\r\n\
            Content-Type: application/json\r\n\r\n{\"a\":1}\r\n--b1--\r\n";
        let found = json_part("multipart/form-data; boundary=\"b1\"", body);
        assert_eq!(found, Some(&b"{\"a\":1}"[..]));
        let mixed = b"--zz\r\nContent-Type: application/json\r\n\r\n{}\r\n--zz--";
        assert_eq!(json_part("multipart/mixed; boundary=zz", mixed), Some(&b"{}"[..]));
        assert_eq!(json_part("multipart/mixed; boundary=zz", b"--zz--"), None);
        assert_eq!(json_part("multipart/mixed", mixed), None);
        assert_eq!(json_part("multipart/mixed; boundary=zz", b"--zz\r\n\r\n"), None);
    }
}
