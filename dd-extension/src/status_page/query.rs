//! The query of a request: `name=value&…`, strictly.

use percent_encoding::percent_decode;

/// What is wrong with a query.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum QueryError {
    #[error("'%' is followed by two hexadecimal digits")]
    Percent,
    #[error("what is encoded is no UTF-8")]
    Utf8,
    #[error("a parameter stands twice")]
    Twice,
}

/// The value of a parameter, if it is there.
pub(super) fn parameter(query: &str, name: &str) -> Result<Option<String>, QueryError> {
    let mut found = None;
    for pair in query.split('&').filter(|pair| !pair.is_empty()) {
        let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
        let (key, value) = (decode(key)?, decode(value)?);
        if key == name && found.replace(value).is_some() {
            return Err(QueryError::Twice);
        }
    }
    Ok(found)
}

fn decode(text: &str) -> Result<String, QueryError> {
    let is_hex = |bytes: &[u8]| bytes.len() == 2 && bytes.iter().all(u8::is_ascii_hexdigit);
    let mut parts = text.split('%');
    parts.next();
    if !parts.all(|part| is_hex(part.as_bytes().get(..2).unwrap_or_default())) {
        return Err(QueryError::Percent);
    }
    let text = text.replace('+', " ");
    let decoded = percent_decode(text.as_bytes()).decode_utf8();
    Ok(decoded.map_err(|_| QueryError::Utf8)?.into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameters_are_decoded() {
        let get = |query, name| parameter(query, name).unwrap();
        assert_eq!(get("a=1&b=x%20y+z%2B", "b").as_deref(), Some("x y z+"));
        assert_eq!(get("k=%C3%A9%00%26%3D", "k").as_deref(), Some("é\0&="));
        assert_eq!(get("a", "a").as_deref(), Some(""));
        assert_eq!(get("", "a"), None);
        assert_eq!(get("&&a=b=c", "a").as_deref(), Some("b=c"));
    }

    #[test]
    fn what_can_not_be_decoded_is_refused() {
        let refused = |query| parameter(query, "a").unwrap_err();
        for query in ["a=%", "a=%4", "a=%zz", "b=%+1", "a=%%41", "a=%é"] {
            assert_eq!(refused(query), QueryError::Percent, "{query}");
        }
        for query in ["a=%ff", "a=%C3", "%ff=1", "a=%ed%a0%80"] {
            assert_eq!(refused(query), QueryError::Utf8, "{query}");
        }
        assert_eq!(refused("a=1&%61=2"), QueryError::Twice);
    }
}
