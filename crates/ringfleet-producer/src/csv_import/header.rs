//! The first row: which column is where.

use std::collections::HashSet;

use csv::ByteRecord;

use super::{
    header_error::{HeaderError, MisspeltColumn, UnknownColumn, Unmatched, known},
    template::{Template, folded, shown},
};
use crate::{draft::shown_name, refusal::Field};

/// What a name is meant for that has the letters of a field's, with other signs or none between them.
fn nearly(name: &str) -> Option<Field> {
    let letters = |name: &str| name.chars().filter(|c| c.is_alphanumeric()).collect::<String>();
    let own = letters(name);
    // Without its from or to a file is refused, and its text comes from a column or from a template.
    Field::NAMED.into_iter().find(|field| !field.is_required() && letters(field.as_str()) == own)
}

/// What stands in a column.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Cell {
    Field(Field),
    /// A value for the template, or nothing that anybody wants to know.
    Other,
    /// Without a name: spreadsheets leave such columns behind a table, and their cells must be empty.
    Unnamed,
}

/// Where each field and each value stands.
#[derive(Clone, Debug)]
pub(super) struct Columns {
    cells: Vec<Cell>,
    /// With the column of each of its places.
    template: Option<(Template, Vec<usize>)>,
}

impl Columns {
    /// Reads the header: any order, any case, blanks around names and a byte-order mark allowed.
    pub(super) fn try_new(
        header: &ByteRecord,
        template: Option<&Template>,
        pass_over: &[String],
    ) -> Result<Self, HeaderError> {
        let first = header.get(0).unwrap_or_default();
        if first.starts_with(&[0xff, 0xfe]) || first.starts_with(&[0xfe, 0xff]) {
            return Err(HeaderError::Utf16);
        }
        let names = header.iter().map(name).collect::<Result<Vec<_>, _>>()?;
        let folded_names: Vec<String> = names.iter().map(|name| folded(name)).collect();
        let passed: HashSet<String> = pass_over.iter().map(|name| folded(name)).collect();
        // An option's value is split at its commas, and a name may have some.
        let is_passed = |name: &str| name.split(',').all(|part| passed.contains(part.trim()));
        let own = |name: &str| Field::named(name).filter(|field| template.is_none() || *field != Field::Text);
        let (mut cells, mut unknown) = (Vec::<Cell>::with_capacity(header.len()), Vec::new());
        let mut misspelt = Vec::new();
        for (index, name) in folded_names.iter().enumerate() {
            let cell = match (own(name), nearly(name)) {
                (Some(field), _) if cells.contains(&Cell::Field(field)) => {
                    return Err(HeaderError::Twice { name: field.as_str() });
                }
                // SEND-SAFETY: without its key a row is another message, and without its send_at one that goes at once.
                (Some(field), _) if is_passed(name) => return Err(HeaderError::NotPassedOver { name: field.as_str() }),
                (Some(field), _) => Cell::Field(field),
                // SEND-SAFETY: the same of a key or a send_at that is spelt as nobody reads it.
                (None, Some(field)) => {
                    misspelt.push(MisspeltColumn { position: index + 1, name: field.as_str() });
                    Cell::Other
                }
                (None, None) if name.is_empty() => Cell::Unnamed,
                (None, None) if is_passed(name) => Cell::Other,
                (None, None) if name == Field::Text.as_str() => return Err(HeaderError::TwoTexts),
                (None, None) if template.is_some_and(|template| template.uses(name)) => Cell::Other,
                (None, None) => {
                    // SEND-SAFETY: it may be a misspelt send_at or key.
                    unknown.push(index);
                    Cell::Other
                }
            };
            cells.push(cell);
        }
        let has = |field: Field| cells.contains(&Cell::Field(field));
        match (has(Field::From), has(Field::To), unknown.first()) {
            // A header, of most exports: they have other names for it.
            (true, false, _) => return Err(HeaderError::Missing { name: Field::To.as_str() }),
            (false, true, _) => return Err(HeaderError::Missing { name: Field::From.as_str() }),
            (false, false, Some(&index)) => {
                return Err(unknown_name(index, &folded_names[index], header.len(), template.is_none()));
            }
            _ => {}
        }
        let (template_columns, faults) = match template.map(|template| template.find_in(&folded_names)).transpose() {
            Ok(found) => (found, Vec::new()),
            Err(faults) => (None, faults),
        };
        if !(unknown.is_empty() && misspelt.is_empty() && faults.is_empty()) {
            let column =
                |index: usize| UnknownColumn { position: index + 1, name: shown(names[index]).map(str::to_owned) };
            return Err(HeaderError::Unmatched(Unmatched {
                template: template.map(|_| faults),
                misspelt,
                columns: unknown.into_iter().map(column).collect(),
            }));
        }
        let is_wanted = |field: &Field| field.is_required() && (template.is_none() || *field != Field::Text);
        match Field::NAMED.into_iter().find(|field| is_wanted(field) && !has(*field)) {
            Some(field) => Err(HeaderError::Missing { name: field.as_str() }),
            None => Ok(Self { cells, template: template.cloned().zip(template_columns) }),
        }
    }

    /// In the order of the columns.
    pub(super) fn cells(&self) -> &[Cell] {
        &self.cells
    }

    /// What makes the text, with the column of each of its places.
    pub(super) fn template(&self) -> Option<(&Template, &[usize])> {
        self.template.as_ref().map(|(template, columns)| (template, columns.as_slice()))
    }

    /// Up to the last one with a name: spreadsheets leave out the empty cells behind it, or don't.
    pub(super) fn fewest(&self) -> usize {
        self.cells.iter().rposition(|cell| *cell != Cell::Unnamed).map_or(0, |last| last + 1)
    }
}

fn name(cell: &[u8]) -> Result<&str, HeaderError> {
    let name = std::str::from_utf8(cell).map_err(|_| HeaderError::NotUtf8)?;
    Ok(name.trim_start_matches('\u{feff}').trim())
}

/// Of a row that may be no header: its first recipient may stand where the names should be.
fn unknown_name(index: usize, name: &str, columns: usize, with_text: bool) -> HeaderError {
    // Spreadsheets of half of Europe write semicolons.
    let separators = [(';', "semicolons"), ('\t', "tabs"), ('|', "|")];
    match separators.into_iter().find(|(sign, _)| columns == 1 && name.contains(*sign)) {
        Some((_, separator)) => HeaderError::Separator { separator },
        None => {
            HeaderError::Unknown { position: index + 1, name: shown_name(name).to_owned(), known: known(with_text) }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(names: &[&str], template: Option<&str>, pass_over: &[&str]) -> Result<Vec<Cell>, HeaderError> {
        let template = template.map(|text| Template::read(text.as_bytes()));
        let pass_over: Vec<String> = pass_over.iter().map(|name| (*name).to_owned()).collect();
        Columns::try_new(&ByteRecord::from(names.to_vec()), template.as_ref(), &pass_over).map(|columns| columns.cells)
    }

    fn columns(names: &[&str]) -> Result<Vec<Cell>, HeaderError> {
        read(names, None, &[])
    }

    #[test]
    fn order_case_and_byte_order_mark_do_not_matter() {
        let fields = columns(&["\u{feff}Text", " TO ", "send_by", "From"]).unwrap();
        assert_eq!(fields, [Field::Text, Field::To, Field::SendBy, Field::From].map(Cell::Field));
    }

    #[test]
    fn unusable_headers_say_what_to_do() {
        assert_eq!(columns(&["from", "to"]), Err(HeaderError::Missing { name: "text" }));
        assert_eq!(columns(&["from", "to", "text", "To"]), Err(HeaderError::Twice { name: "to" }));
        assert_eq!(columns(&["from;to;text"]), Err(HeaderError::Separator { separator: "semicolons" }));
        let unknown = columns(&["from", "to", "body"]).unwrap_err().to_string();
        assert!(unknown.contains("column 3") && unknown.contains("body") && unknown.contains("text"), "{unknown}");
        let utf16 = ByteRecord::from(vec![&b"\xff\xfef\0"[..]]);
        assert_eq!(Columns::try_new(&utf16, None, &[]).unwrap_err(), HeaderError::Utf16);
    }

    #[test]
    fn file_without_a_header_does_not_print_its_first_recipient() {
        for template in [None, Some("{name}")] {
            let error = read(&["+15550100001", "+15550200001", "Dear Ms Miller"], template, &[]).unwrap_err();
            assert!(!format!("{error} {error:?}").contains("0100001"), "{error}");
            let error = read(&["from", "to", "+15550200001"], template, &[]).unwrap_err();
            assert!(!format!("{error} {error:?}").contains("0200001"), "{error}");
        }
    }

    #[test]
    fn a_column_that_the_template_does_not_use_is_a_fault_unless_it_is_passed_over_by_its_name() {
        let names = ["from", "to", "Name", "Sent on", "Last, First", "e-mail"];
        let told = read(&names, Some("Hello {name}"), &[]).unwrap_err().to_string();
        for part in
            ["Sent on (column 4), Last, First (column 5), e-mail (column 6)", "send_at, send_by", "in the template"]
        {
            assert!(told.contains(part), "{part} is missing in {told}");
        }
        assert!(told.ends_with("--pass-over \"Sent on,Last, First,e-mail\"") && !told.contains("text"), "{told}");
        let all = ["Sent on", "Last", " First", "E-MAIL"];
        assert!(read(&names, Some("Hello {name}"), &all).is_ok());
        assert!(read(&names, Some("Hello {name}"), &all[1..]).unwrap_err().to_string().contains("Sent on"));
        assert!(read(&["from", "to", "text", "e-mail", "e-mail"], None, &all).is_ok());
    }

    #[test]
    fn a_name_with_the_letters_of_a_fields_is_never_passed_over_nor_used_in_a_template() {
        for (name, meant) in [
            ("Send At", "send_at"),
            ("Sendat", "send_at"),
            ("send-by", "send_by"),
            ("On Unknown", "on_unknown"),
            ("Priority!", "priority"),
            ("(key)", "key"),
        ] {
            let used = format!("Hi {{company}} {{{name}}}");
            for (template, third, passed) in [
                (Some("Hi {company}"), "city", "city"),
                (Some("Hi {company}"), "city", name),
                (Some(&*used), "city", "city"),
                (None, "text", name),
            ] {
                let pass_over = [passed, "city", "company"];
                let error = read(&["from", "to", third, name, "Company"], template, &pass_over).unwrap_err();
                let HeaderError::Unmatched(Unmatched { misspelt, columns, .. }) = &error else { panic!("{error}") };
                assert_eq!(*misspelt, [MisspeltColumn { position: 4, name: meant }], "{error}");
                assert!(columns.is_empty() && error.to_string().contains(&format!("rename it to {meant}")), "{error}");
            }
        }
        let told = read(&["from", "to", "Name", "Send At", "Company"], Some("Hi {name}"), &[]).unwrap_err().to_string();
        assert!(told.contains("\nand the file has unknown columns: Company (column 5)"), "{told}");
        assert!(told.starts_with("column 4 is nearly") && told.ends_with("--pass-over \"Company\""), "{told}");
        assert!(read(&["from", "to", "Keyword", "Sent"], Some("{sent}"), &["keyword"]).is_ok());
    }

    #[test]
    fn names_that_are_not_shown_are_passed_over_too_and_no_empty_option_is_told() {
        let long = "Preferred name of the contact in letters and texts";
        let told =
            |names: &[&str]| read(&[&["from", "to"][..], names].concat(), Some("Hello"), &[]).unwrap_err().to_string();
        let some = told(&["Opt-in?", "Company", long]);
        assert!(
            some.ends_with(
                "or pass them over: --pass-over \"Company\", and column 3, by its name, and column 5, by its name"
            ),
            "{some}"
        );
        let none = told(&["Discount %", long]);
        assert!(none.ends_with("or pass them over by their names, with --pass-over"), "{none}");
        let names = ["from", "to", "Opt-in?", "Discount %", long];
        assert!(read(&names, Some("Hello"), &["opt-in?", "discount %", long]).is_ok());
    }

    #[test]
    fn what_is_missing_is_told_before_a_foreign_column_and_a_text_is_not_asked_for_beside_a_template() {
        for template in [None, Some("Hello {first name}")] {
            let missing = |names: &[&str]| read(names, template, &[]);
            assert_eq!(missing(&["to", "First Name", "Company"]), Err(HeaderError::Missing { name: "from" }));
            assert_eq!(missing(&["First Name", "From", "Phone"]), Err(HeaderError::Missing { name: "to" }));
            let told = missing(&["Phone", "First Name"]).unwrap_err().to_string();
            let fields = if template.is_some() { "from, to, send_at" } else { "from, to, text, send_at" };
            assert!(told.starts_with("column 1 has the unknown name phone;") && told.contains(fields), "{told}");
        }
    }

    #[test]
    fn doubled_braces_are_a_fault_also_of_a_name_that_no_column_has_and_whatever_is_passed_over() {
        for passed in ["city", "First Name"] {
            let names = ["from", "to", "First Name", "key"];
            let error = read(&names, Some("Hello {{first_name}}, bye"), &[passed]).unwrap_err();
            let HeaderError::Unmatched(Unmatched { template: Some(faults), .. }) = &error else { panic!("{error}") };
            let at: Vec<(usize, usize)> = faults.iter().map(|fault| (fault.line, fault.column)).collect();
            assert_eq!(at, [(1, 7)], "{error}");
            assert!(faults[0].problem.contains("first_name stands in doubled braces"), "{error}");
        }
    }

    #[test]
    fn what_means_something_to_the_program_is_never_passed_over_but_for_a_text_that_the_template_makes() {
        let names = ["from", "to", "text", "key", "name"];
        let read = |template, pass_over: &[&str]| read(&names, template, pass_over);
        assert_eq!(read(Some("{name}"), &[]), Err(HeaderError::TwoTexts));
        assert_eq!(read(Some("{name}"), &["key", "text"]), Err(HeaderError::NotPassedOver { name: "key" }));
        assert_eq!(read(None, &["text", "name"]), Err(HeaderError::NotPassedOver { name: "text" }));
        assert_eq!(read(Some("{name}"), &["text"]).unwrap()[2..4], [Cell::Other, Cell::Field(Field::Key)]);
    }

    #[test]
    fn faults_of_the_template_and_columns_that_nothing_uses_are_told_together() {
        let told =
            read(&["from", "to", "first_name"], Some("Hi {first_nam}\n{{first_name}} {"), &[]).unwrap_err().to_string();
        for part in [
            "3 faults",
            "line 1, column 4",
            "first_nam ",
            "line 2, column 1",
            "line 2, column 16",
            "first_name (column 3)",
        ] {
            assert!(told.contains(part), "{part} is missing in {told}");
        }
        let many = read(&["from", "to"], Some(&"{ ".repeat(99)), &[]).unwrap_err().to_string();
        assert!(many.lines().count() < 25 && many.ends_with("… and 79 more"), "{many}");
    }
}
