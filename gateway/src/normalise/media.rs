//! The media type that comes with a payload, as far as it decides how the payload is read.

/// What a sender says its payload is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Media {
    /// Nothing, or JSON: the shape decides.
    Open,
    /// CBOR (RFC 8949) in one of the JSON shapes.
    Cbor,
    /// SenML (RFC 8428 section 5).
    SenmlJson,
    /// SenML (RFC 8428 section 6).
    SenmlCbor,
    /// SenML in a form that nobody reads here, such as XML: it is passed on.
    SenmlOther,
    /// Anything else.
    Other,
}

impl Media {
    /// Reads a media type; parameters behind `;` and case do not count (RFC 9110 section 8.3.1).
    pub(super) fn of(content_type: Option<&str>) -> Self {
        let Some(text) = content_type else { return Self::Open };
        if text == "application/json" {
            return Self::Open;
        }
        let word = text.split(';').next().unwrap_or_default().trim();
        let is = |known: &str| word.eq_ignore_ascii_case(known);
        if is("application/cbor") {
            Self::Cbor
        } else if is("application/senml+json") {
            Self::SenmlJson
        } else if is("application/senml+cbor") {
            Self::SenmlCbor
        } else if has(word, "senml") || has(word, "sensml") {
            Self::SenmlOther
        } else if has(word, "json") {
            Self::Open
        } else {
            Self::Other
        }
    }
}

fn has(word: &str, part: &str) -> bool {
    word.as_bytes().windows(part.len()).any(|window| window.eq_ignore_ascii_case(part.as_bytes()))
}
