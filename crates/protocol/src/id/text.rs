//! Conversions between ids and texts, by the standard traits (`FromStr`, `AsRef<str>`).

use std::str::FromStr;

use super::{IdError, Name, RoomName, SessionId, SessionKey, Token};

/// `FromStr` for ids that are checked texts.
macro_rules! from_str {
    ($($id:ty),+) => {$(
        impl FromStr for $id {
            type Err = IdError;

            fn from_str(text: &str) -> Result<Self, IdError> {
                Self::new(text)
            }
        }
    )+};
}

/// `AsRef<str>` for ids that may be shown; secrets are not among them.
macro_rules! as_ref_str {
    ($($id:ty),+) => {$(
        impl AsRef<str> for $id {
            fn as_ref(&self) -> &str {
                self.as_str()
            }
        }
    )+};
}

from_str!(RoomName, SessionId, SessionKey, Token);
as_ref_str!(Name, RoomName, SessionId);

#[cfg(test)]
mod tests {
    #[cfg(target_arch = "wasm32")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    use super::*;

    fn shown(id: &impl AsRef<str>) -> &str {
        id.as_ref()
    }

    #[test]
    fn ids_are_parsed_as_they_are_checked() {
        assert_eq!("lobby".parse(), Ok(RoomName::lobby()));
        assert_eq!("Lobby".parse::<RoomName>(), Err(IdError::Room));
        assert_eq!("a b".parse::<SessionId>(), Err(IdError::Credential));
        assert_eq!("".parse::<SessionKey>(), Err(IdError::Credential));
        assert_eq!("é".parse::<Token>(), Err(IdError::Token));
        let session: SessionId = "s1".parse().unwrap();
        assert_eq!(shown(&session), "s1");
        assert_eq!(shown(&Name::guest(&session)), "guest s1");
    }
}
