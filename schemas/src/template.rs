//! Texts with variables, such as `Hello {{contact.first_name|there}}`: the one place that knows the rules.
//!
//! A variable stands in double braces, blanks around it do not matter. After `|` stands what to write where nothing is known;
//! without that, a variable of which nothing is known stays as it was written, and is named. Braces that hold no variable's
//! name are refused when the text is kept ([`check`]) and left alone when it is rendered.

/// The names of all variables.
pub const VARIABLES: [&str; 8] = [
    "contact.name",
    "contact.first_name",
    "contact.phone",
    "contact.email",
    "agent.name",
    "agent.first_name",
    "channel.name",
    "workspace.name",
];

/// A text with its variables filled in.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Rendered {
    /// The text.
    pub text: String,
    /// The variables of which nothing was known, in the order in which they stand; each once.
    pub missing: Vec<String>,
}

/// A piece of a text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Piece<'a> {
    Plain(&'a str),
    Variable { written: &'a str, name: &'a str, fallback: Option<&'a str> },
}

/// Takes a text apart. What opens and does not close is plain.
fn pieces(text: &str) -> Vec<Piece<'_>> {
    let mut pieces = Vec::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once("{{") {
        let Some((inner, next)) = after.split_once("}}") else { break };
        if !before.is_empty() {
            pieces.push(Piece::Plain(before));
        }
        let (name, fallback) = match inner.split_once('|') {
            Some((name, fallback)) => (name.trim(), Some(fallback.trim())),
            None => (inner.trim(), None),
        };
        let from = before.len();
        let written = rest.get(from..from + inner.len() + 4).unwrap_or_default();
        pieces.push(Piece::Variable { written, name, fallback });
        rest = next;
    }
    if !rest.is_empty() {
        pieces.push(Piece::Plain(rest));
    }
    pieces
}

/// Whether a text names only variables that there are.
///
/// # Errors
/// A sentence that names the first one that there is not.
pub fn check(text: &str) -> Result<(), String> {
    for piece in pieces(text) {
        if let Piece::Variable { name, .. } = piece
            && !VARIABLES.contains(&name)
        {
            let shown: String = name.chars().filter(|c| !c.is_control()).take(50).collect();
            return Err(format!("there is no variable {shown:?}: write one of {}", VARIABLES.join(", ")));
        }
    }
    Ok(())
}

/// Fills in the variables of a text; `known` gives the value of one, if there is any.
pub fn render(text: &str, known: impl Fn(&str) -> Option<String>) -> Rendered {
    let mut rendered = Rendered::default();
    for piece in pieces(text) {
        match piece {
            Piece::Plain(plain) => rendered.text.push_str(plain),
            Piece::Variable { written, name, .. } if !VARIABLES.contains(&name) => rendered.text.push_str(written),
            Piece::Variable { written, name, fallback } => {
                let value = known(name).filter(|value| !value.trim().is_empty());
                match (value, fallback) {
                    (Some(value), _) => rendered.text.push_str(&value),
                    (None, Some(fallback)) => rendered.text.push_str(fallback),
                    (None, None) => {
                        rendered.text.push_str(written);
                        if !rendered.missing.iter().any(|other| other == name) {
                            rendered.missing.push(name.to_owned());
                        }
                    }
                }
            }
        }
    }
    rendered
}

/// The first word of a name.
pub fn first_name(name: &str) -> String {
    name.split_whitespace().next().unwrap_or_default().to_owned()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn known(name: &str) -> Option<String> {
        match name {
            "contact.name" => Some("ليلى حداد".to_owned()),
            "contact.first_name" => Some(first_name("ليلى حداد")),
            "contact.phone" => Some(" ".to_owned()),
            _ => None,
        }
    }

    #[test]
    fn variables_are_filled_in_and_what_is_missing_is_named() {
        for (text, filled, missing) in [
            ("أهلا {{contact.first_name}}!", "أهلا ليلى!", &[][..]),
            ("{{ contact.name }}, {{contact.email | friend}}", "ليلى حداد, friend", &[]),
            ("{{contact.phone}} {{contact.phone}}", "{{contact.phone}} {{contact.phone}}", &["contact.phone"]),
            ("{{nothing}} {{nothing|x}} {{", "{{nothing}} {{nothing|x}} {{", &[]),
            ("{{contact.email|}}.", ".", &[]),
            ("a }} b", "a }} b", &[]),
        ] {
            let rendered = render(text, known);
            assert_eq!(
                (rendered.text.as_str(), rendered.missing.as_slice()),
                (filled, &missing.iter().map(|m| (*m).to_owned()).collect::<Vec<_>>()[..]),
                "{text}"
            );
        }
    }

    #[test]
    fn only_variables_that_there_are_may_be_kept() {
        assert_eq!(check("Hi {{contact.name|you}}, {{ agent.name }} here. {curly}"), Ok(()));
        assert!(check("{{contact.salary}}").unwrap_err().contains("contact.salary"));
    }

    proptest! {
        /// A text without known variables comes back as it was, whatever braces it holds.
        #[test]
        fn a_text_without_values_is_left_alone(text in "[a{}|. \u{0627}]{0,40}") {
            prop_assert_eq!(render(&text, |_| None).text, text);
        }
    }
}
