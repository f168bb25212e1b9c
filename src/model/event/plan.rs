//! Tables from a plan: a CSV file (RFC 4180) that the organizer exports, or so many in rows.
//!
//! Laws: reading is total; an error names its line. Whether the tables are within the pack's bounds is for the pack to say.

use super::{Table, bound};

/// Why a plan cannot be read.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("line {line} of the plan: {rule}")]
pub struct PlanError {
    /// Counted from 1.
    pub line: usize,
    /// What must stand there.
    pub rule: &'static str,
}

const COLUMNS: &str = "the first line names the columns: number,seats,zone,x_m,y_m";
const PER_ROW: u16 = 10;
const SPACING_M: f32 = 2.5;

/// Reads tables from a CSV file whose first line is `number,seats,zone,x_m,y_m`. Fields may stand in double quotes. Empty lines are
/// skipped. The tables come back by ascending number.
///
/// # Errors
/// [`PlanError`]: the first line that does not fit.
pub fn from_csv(text: &str) -> Result<Vec<Table>, PlanError> {
    let mut lines = text.trim_start_matches('\u{feff}').lines().enumerate().map(|(at, line)| (at + 1, line.trim()));
    let wrong = |line, rule| PlanError { line, rule };
    let header = lines.find(|(_, line)| !line.is_empty()).ok_or(wrong(1, COLUMNS))?;
    if fields(header.1).is_none_or(|names| !names.iter().eq(&["number", "seats", "zone", "x_m", "y_m"])) {
        return Err(wrong(header.0, COLUMNS));
    }
    let mut tables = Vec::new();
    for (at, line) in lines.filter(|(_, line)| !line.is_empty()) {
        let fields = fields(line).ok_or(wrong(at, "a quoted field ends with a quote"))?;
        let [number, seats, zone, x_m, y_m] = fields.as_slice() else {
            return Err(wrong(at, "five fields, with commas between them"));
        };
        let metres = |text: &str| text.parse().ok().filter(|metres: &f32| metres.is_finite());
        tables.push(Table {
            number: number.parse().map_err(|_| wrong(at, "the number is a whole number up to 65535"))?,
            seats: seats.parse().map_err(|_| wrong(at, "the seats are a whole number up to 100"))?,
            zone: zone.clone(),
            x_m: metres(x_m).ok_or(wrong(at, "x_m is a number of metres, such as 12.5"))?,
            y_m: metres(y_m).ok_or(wrong(at, "y_m is a number of metres, such as 12.5"))?,
        });
        if tables.len() > bound::TABLES_MAX {
            return Err(wrong(at, "at most 5,000 tables"));
        }
    }
    tables.sort_by_key(|table| table.number);
    Ok(tables)
}

/// So many tables, numbered from 1, ten to a row and 2.5 m apart.
pub fn in_rows(tables: u16, seats: u8) -> Vec<Table> {
    let place = |index: u16| f32::from(index) * SPACING_M;
    let table = |index: u16| Table {
        number: index + 1,
        seats,
        zone: String::new(),
        x_m: place(index % PER_ROW),
        y_m: place(index / PER_ROW),
    };
    (0..tables.min(bound::TABLES_MAX as u16)).map(table).collect()
}

/// The fields of one line; `None` if a quote is left open or stands in the middle.
fn fields(line: &str) -> Option<Vec<String>> {
    let mut fields = Vec::new();
    let mut rest = line;
    loop {
        let (field, after) = match rest.trim_start().strip_prefix('"') {
            Some(quoted) => quoted_field(quoted)?,
            None => {
                let end = rest.find(',').unwrap_or(rest.len());
                (rest[..end].trim().to_owned(), &rest[end..])
            }
        };
        fields.push(field);
        match after.trim_start().strip_prefix(',') {
            Some(next) => rest = next,
            None if after.trim().is_empty() => return Some(fields),
            None => return None,
        }
    }
}

/// What stands before the closing quote, and what comes after it.
fn quoted_field(text: &str) -> Option<(String, &str)> {
    let mut field = String::new();
    let mut rest = text;
    loop {
        let (before, after) = rest.split_once('"')?;
        field.push_str(before);
        match after.strip_prefix('"') {
            Some(more) => {
                field.push('"');
                rest = more;
            }
            None => return Some((field, after)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plan_is_read_with_quotes_blank_lines_and_any_order() {
        let plan = "\u{feff}number,seats,zone,x_m,y_m\r\n\r\n7, 6 ,\"Foyer, \"\"north\"\"\",12.5,-3\r\n2,4,,0,0\r\n";
        let tables = from_csv(plan).unwrap();
        assert_eq!(tables.iter().map(|table| table.number).collect::<Vec<_>>(), [2, 7]);
        let seven = Table { number: 7, seats: 6, zone: "Foyer, \"north\"".into(), x_m: 12.5, y_m: -3.0 };
        assert_eq!(tables[1], seven);
    }

    #[test]
    fn an_error_names_its_line() {
        let head = "number,seats,zone,x_m,y_m\n";
        for (plan, line) in [
            ("", 1),
            ("a,b\n", 1),
            ("\nnumber;seats\n", 2),
            (&format!("{head}1,4,,0\n"), 2),
            (&format!("{head}1,4,,0,0\n\n1,4,,x,0\n"), 4),
            (&format!("{head}70000,4,,0,0\n"), 2),
            (&format!("{head}1,300,,0,0\n"), 2),
            (&format!("{head}1,4,,NaN,0\n"), 2),
            (&format!("{head}1,4,\"open,0,0\n"), 2),
            (&format!("{head}1,4,\"a\"b,0,0\n"), 2),
        ] {
            assert_eq!(from_csv(plan).map_err(|error| error.line), Err(line), "{plan}");
        }
    }

    #[test]
    fn tables_in_rows_are_numbered_from_one_and_none_share_a_place() {
        let tables = in_rows(25, 4);
        assert_eq!((tables.len(), tables[0].number, tables[24].number), (25, 1, 25));
        assert_eq!((tables[24].x_m, tables[24].y_m), (10.0, 5.0));
        assert_eq!(in_rows(u16::MAX, 4).len(), bound::TABLES_MAX);
    }
}
