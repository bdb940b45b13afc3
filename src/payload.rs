//! Encoding of payloads and outputs, by the codec of their job type.

use jobkeep_store::{decode_payload, encode_payload};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::Codec;

/// Room for a small payload, so that it is made in one piece.
const USUAL_BYTES: usize = 256;

/// Encodes a value, and decodes it: what is accepted can be read. `known` are bytes that were read as a
/// `T` before: where the value makes these again, they are not read another time.
pub(crate) fn encode<T: Serialize + DeserializeOwned>(
    codec: Codec,
    value: &T,
    known: &[u8],
) -> Result<Vec<u8>, String> {
    match codec {
        Codec::Json => {
            let bytes = to_json(value)?;
            if bytes != known {
                serde_json::from_slice::<T>(&bytes).map_err(|cause| {
                    format!("the value cannot be read back from its JSON: {cause}")
                })?;
            }
            Ok(bytes)
        }
        Codec::Bincode => encode_payload(value, known).map_err(|cause| cause.to_string()),
        other => Err(no_codec(other)),
    }
}

pub(crate) fn decode<T: DeserializeOwned>(codec: Codec, bytes: &[u8]) -> Result<T, String> {
    match codec {
        Codec::Json => serde_json::from_slice(bytes).map_err(|cause| cause.to_string()),
        Codec::Bincode => decode_payload(bytes).map_err(|cause| cause.to_string()),
        other => Err(no_codec(other)),
    }
}

/// As JSON, for a reader: nothing need decode it.
pub(crate) fn to_json<T: Serialize>(value: &T) -> Result<Vec<u8>, String> {
    let mut bytes = Vec::with_capacity(USUAL_BYTES);
    serde_json::to_writer(&mut bytes, value).map_err(|cause| cause.to_string())?;
    Ok(bytes)
}

fn no_codec(codec: Codec) -> String {
    format!("this version has no codec {codec:?}")
}
