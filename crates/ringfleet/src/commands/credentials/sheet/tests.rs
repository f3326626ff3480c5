use super::*;

fn read(text: &str) -> Result<Sheet, SheetError> {
    let file = |path: &Path| match path.to_str() {
        Some("jwts/b.jwt") => Ok(Zeroizing::new("canary.of.file".to_owned())),
        _ => Err(std::io::Error::from(std::io::ErrorKind::NotFound)),
    };
    super::read(text, Path::new("jwts"), &file)
}

fn told(sheet: &Sheet) -> Vec<String> {
    sheet.faults.iter().map(ToString::to_string).collect()
}

#[test]
fn good_rows_are_read_with_their_defaults_open() {
    let sheet = read(
        "\u{feff}Extension_ID, METHOD ,secret,secret_file,username,extension_number,prefer,enabled\r\n\
         101,jwt,a.b.c,,,,5,no\r\n\
         \r\n\
         102,JWT,,b.jwt,,,,\r\n\
         103,password,\" p,w \",,+15550100003,7,,yes\r\n\
         104,code,r-token",
    )
    .unwrap();
    assert_eq!(told(&sheet), Vec::<String>::new());
    let rows: Vec<_> = sheet.rows.iter().map(|row| (row.line, row.login.method(), row.prefer, row.enabled)).collect();
    assert_eq!(
        rows,
        [
            (2, Method::Jwt, Some(5), Some(false)),
            (4, Method::Jwt, None, None),
            (5, Method::Password, None, Some(true)),
            (6, Method::Code, None, None)
        ]
    );
    let Login::Jwt(jwt) = &sheet.rows[1].login else { panic!("no JWT") };
    assert_eq!(jwt.expose(), "canary.of.file");
}

#[test]
fn all_faults_are_told_with_line_and_column_and_without_a_secret() {
    let sheet = read(
        "extension_id,method,secret,secret_file,username,prefer,enabled\n\
         ,canary-method,canary-1,,,canary-2,canary-3\n\
         \"10\n2\",jwt,\"canary\n-4\",,canary-5,,\n\
         103,password,,canary-6,,,\n\
         104,jwt,canary-7,canary-8,,,\n\
         105,jwt,,,,,\n\
         106,jwt,canary-9,,,,,canary-10\n\
         107,jwt,a.b.c,,,,\n",
    )
    .unwrap();
    let told = told(&sheet);
    let expected = [
        "line 2, column extension_id: extension id is empty",
        "line 2, column method: must be jwt, code or password",
        "line 2, column prefer: must be a whole number",
        "line 2, column enabled: must be yes or no",
        "line 3, column extension_id: extension id has a character",
        "line 3, column secret: JWT has a blank",
        "line 3, column username: is for the method password only",
        "line 6, column secret_file: names a file that can't be read",
        "line 7, column secret_file: is filled, and so is secret",
        "line 8, column secret: is empty",
        "line 9, column extension_id: the row has 8 fields, the header 7",
    ];
    assert_eq!(told.len(), expected.len(), "{told:#?}");
    for (told, expected) in told.iter().zip(expected) {
        assert!(told.starts_with(expected), "{told} is not {expected}");
    }
    assert_eq!((sheet.rows.len(), sheet.refused), (1, 6));
    assert_eq!(sheet.rows[0].line, 10);
    assert!(!format!("{told:?} {sheet:?}").contains("canary"), "{told:?}");
}

#[test]
fn a_row_that_is_there_twice_is_told_and_one_that_contradicts_is_refused() {
    let sheet = read(
        "extension_id,method,secret\n101,jwt,a.b.c\n101,jwt,a.b.c\n101,jwt,other\n102,jwt,a.b.c\n101,code,a.b.c\n",
    )
    .unwrap();
    assert_eq!(sheet.repeated, [(3, 2)]);
    let told = told(&sheet);
    assert_eq!(told.len(), 2, "{told:?}");
    assert!(told[0].contains("line 4") && told[0].contains("line 2 has another jwt login"), "{told:?}");
    assert!(told[1].contains("line 5") && told[1].contains("same as on line 2 for extension 101"), "{told:?}");
    assert_eq!(sheet.rows.len(), 2);
}

#[test]
fn an_unusable_header_says_what_to_do_and_shows_nothing() {
    let error = |text: &str| read(text).err().unwrap();
    assert_eq!(error(""), SheetError::Empty);
    assert_eq!(error("extension_id;method;secret\n"), SheetError::Separator("semicolons"));
    assert_eq!(error("extension_id,secret"), SheetError::Missing("method"));
    assert_eq!(error("extension_id,method"), SheetError::Missing("secret or secret_file"));
    assert_eq!(error("method,method"), SheetError::Twice("method"));
    let headless = error("101,jwt,canary\n");
    assert_eq!(headless, SheetError::Unknown(1));
    assert!(!headless.to_string().contains("canary") && headless.to_string().contains("extension_number"));
}

#[test]
fn a_quotation_mark_that_is_not_closed_refuses_the_whole_file_with_the_line_on_which_it_stands() {
    const HEADER: &str = "extension_id,method,secret\n";
    for (rows, line) in [
        ("101,jwt,canary.1\n102,jwt,\"canary.2\n103,jwt,canary.3\n104,jwt,canary.4\n", 3),
        ("101,jwt,\"canary.1\n102,jwt,\"canary.2\"\n103,jwt,canary.3\n", 2),
        ("101,jwt,canary.1\n\n102,jwt,\"canary.2\"x\n103,jwt,canary.3\n", 4),
        ("\"10\n1\",jwt,\"canary\"\"\n.2\n102,jwt,canary.3\n", 3),
        ("101,jwt,canary.1\r\n102,jwt,\"canary.2\r\n103,jwt,canary.3", 3),
    ] {
        let error = read(&format!("\u{feff}{HEADER}{rows}")).err();
        assert_eq!(error, Some(SheetError::Quotes(line)), "{rows:?}");
        let told = error.unwrap().to_string();
        assert!(told.contains(&format!("on line {line} ")) && !told.contains("canary"), "{told}");
    }
    let fine = "extension_id,method,username,secret\n101,password,u,\"ca\"\"nary\"\n102,password,u,ca\"nary\n103,jwt,,\"a.b.c\"";
    assert_eq!(told(&read(fine).unwrap()), Vec::<String>::new());
}

#[test]
fn a_jwt_with_a_quotation_mark_inside_is_refused() {
    let sheet = read("extension_id,method,secret\n101,jwt,can\"ary\n102,jwt,\"\"\"canary\"\n103,jwt,a.b.c\n").unwrap();
    let told = told(&sheet);
    assert_eq!((told.len(), sheet.rows.len()), (2, 1), "{told:?}");
    for (told, line) in told.iter().zip([2, 3]) {
        assert!(told.starts_with(&format!("line {line}, column secret: has a quotation mark inside")), "{told}");
        assert!(!told.contains("canary") && !told.contains("can\"ary"), "{told}");
    }
}
