//! HTML that cannot hold unescaped text: only constants go in as they are, everything else is escaped.

/// A piece of a page.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Html(String);

/// Names and values of attributes; values are escaped.
pub(super) type Attributes<'a> = &'a [(&'static str, &'a str)];

impl Html {
    /// A constant of the program, as it is.
    pub(super) fn constant(html: &'static str) -> Html {
        Html(html.to_owned())
    }

    /// Text from anywhere, escaped.
    pub(super) fn text(text: &str) -> Html {
        Html(escaped(text))
    }

    /// An element with children.
    pub(super) fn element(
        name: &'static str,
        attributes: Attributes<'_>,
        children: impl IntoIterator<Item = Html>,
    ) -> Html {
        let mut html = format!("<{name}");
        for (name, value) in attributes {
            html.push_str(&format!(" {name}=\"{}\"", escaped(value)));
        }
        html.push('>');
        html.extend(children.into_iter().map(|child| child.0));
        html.push_str(&format!("</{name}>"));
        Html(html)
    }

    /// An element with a text.
    pub(super) fn leaf(name: &'static str, attributes: Attributes<'_>, text: &str) -> Html {
        Html::element(name, attributes, [Html::text(text)])
    }

    pub(super) fn into_string(self) -> String {
        self.0
    }
}

impl FromIterator<Html> for Html {
    fn from_iter<I: IntoIterator<Item = Html>>(parts: I) -> Html {
        Html(parts.into_iter().map(|part| part.0).collect())
    }
}

/// Text that stays text between tags and in quoted attributes. Control characters and marks that turn the
/// direction of writing become U+FFFD: they could show another text than is there.
fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for letter in text.chars() {
        match letter {
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '&' => out.push_str("&amp;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            '\n' | '\t' => out.push(letter),
            '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' => out.push('\u{fffd}'),
            letter if letter.is_control() => out.push('\u{fffd}'),
            letter => out.push(letter),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// The five characters back, in one pass.
    fn unescaped(html: &str) -> String {
        html.replace("&lt;", "<")
            .replace("&gt;", ">")
            .replace("&quot;", "\"")
            .replace("&#39;", "'")
            .replace("&amp;", "&")
    }

    #[test]
    fn attributes_cannot_be_left() {
        let html = Html::leaf("p", &[("title", "\" onclick='x'")], "</p><script>");
        assert_eq!(
            html.into_string(),
            "<p title=\"&quot; onclick=&#39;x&#39;\">&lt;/p&gt;&lt;script&gt;</p>"
        );
    }

    proptest! {
        #[test]
        fn nothing_escapes(text in ".*|[<>&\"'/=a-z\n\u{202e}\u{0}]*") {
            let html = escaped(&text);
            let live = html.contains(['<', '>', '"', '\'', '\0', '\u{202e}']);
            prop_assert!(!live, "{}", html);
            for part in html.split('&').skip(1) {
                prop_assert!(["lt;", "gt;", "amp;", "quot;", "#39;"].iter().any(|it| part.starts_with(it)));
            }
            prop_assert_eq!(escaped(&unescaped(&html)), html);
        }
    }
}
