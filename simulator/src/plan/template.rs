/// What a template can name.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Words<'a> {
    /// `%i`: number of the device.
    pub(crate) index: u32,
    /// `%u`: user name.
    pub(crate) user: &'a str,
    /// `%c`: client id.
    pub(crate) client_id: &'a str,
}

impl Words<'_> {
    /// `template` with its words filled in; `%%` is a percent sign, anything else behind one is kept.
    pub(crate) fn expand(&self, template: &str) -> String {
        let mut text = String::with_capacity(template.len() + 8);
        let mut rest = template;
        while let Some((before, after)) = rest.split_once('%') {
            text.push_str(before);
            let mut letters = after.chars();
            match letters.next() {
                Some('i') => text.push_str(&self.index.to_string()),
                Some('u') => text.push_str(self.user),
                Some('c') => text.push_str(self.client_id),
                Some('%') => text.push('%'),
                Some(other) => text.extend(['%', other]),
                None => text.push('%'),
            }
            rest = letters.as_str();
        }
        text.push_str(rest);
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_filled_in_and_the_rest_is_kept() {
        let words = Words { index: 7, user: "u", client_id: "c%i" };
        assert_eq!(words.expand("x/%i/%u/%c"), "x/7/u/c%i");
        assert_eq!(words.expand("100%% %x %"), "100% %x %");
        assert_eq!(words.expand("телеметрия/%i"), "телеметрия/7");
    }
}
