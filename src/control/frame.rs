//! Frames: JSON ended by a NUL byte.

use std::io;

use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use tokio_util::bytes::{Buf, BufMut, BytesMut};
use tokio_util::codec::{Decoder, Encoder};

use super::access::Rank;
use super::protocol::{CallError, ErrorKind, Reply, Request};

/// The largest frame in an answer; questions are smaller.
pub const LARGEST_FRAME: usize = 128 << 20;
/// The largest question. Names of files and of domains and a daemon's command are the longest things in one.
const LARGEST_REQUEST: usize = 1 << 20;
/// The same of those who may not do everything: many may ask at once, and what they send is held until it is whole.
const LARGEST_OF_OTHERS: usize = 64 << 10;
/// The same of those who may do nothing, who are told so.
const LARGEST_OF_STRANGERS: usize = 4 << 10;
const PREFIX: &str = "org.rdsup.";

/// Cuts the stream into JSON values, and never holds more than `largest` bytes of one.
#[derive(Debug)]
pub struct FrameCodec {
    largest: usize,
    /// Bytes already searched for the end, so that a frame that comes byte by byte is not searched again and again.
    searched: usize,
}

impl FrameCodec {
    /// A codec that refuses frames of more than `largest` bytes.
    pub fn new(largest: usize) -> Self {
        Self { largest, searched: 0 }
    }
}

impl Decoder for FrameCodec {
    type Item = Value;
    type Error = io::Error;

    fn decode(&mut self, bytes: &mut BytesMut) -> io::Result<Option<Value>> {
        let end = bytes[self.searched..].iter().position(|byte| *byte == 0).map(|offset| self.searched + offset);
        if end.unwrap_or(bytes.len()) > self.largest {
            let message = format!("a message has more than {} bytes", self.largest);
            return Err(io::Error::new(io::ErrorKind::InvalidData, message));
        }
        let Some(end) = end else {
            self.searched = bytes.len();
            return Ok(None);
        };
        self.searched = 0;
        let frame = bytes.split_to(end);
        bytes.advance(1);
        serde_json::from_slice(&frame).map(Some).map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))
    }
}

impl Encoder<Value> for FrameCodec {
    type Error = io::Error;

    fn encode(&mut self, value: Value, bytes: &mut BytesMut) -> io::Result<()> {
        // JSON escapes NUL, so the only one is the end.
        serde_json::to_writer((&mut *bytes).writer(), &value)?;
        bytes.put_u8(0);
        Ok(())
    }
}

/// The largest question of those who may do so much.
pub(super) fn largest_request(rank: Rank) -> usize {
    match rank {
        Rank::Nothing => LARGEST_OF_STRANGERS,
        Rank::Something => LARGEST_OF_OTHERS,
        Rank::Everything => LARGEST_REQUEST,
    }
}

/// A call and whether the caller wants to hear of its progress.
pub(super) fn read_call(value: Value) -> Result<(Request, bool), CallError> {
    let Value::Object(mut call) = value else { return Err(CallError::invalid("a call is a JSON object")) };
    let more = call.remove("more").and_then(|more| more.as_bool()).unwrap_or(false);
    // Varlink lets a caller leave out empty parameters.
    let parameters = call.remove("parameters").unwrap_or_else(|| json!({}));
    let method = call.remove("method").unwrap_or_default();
    let request = read(json!({ "method": method, "parameters": parameters }))?;
    Ok((request, more))
}

pub(super) fn write_call(request: &Request, more: bool) -> serde_json::Result<Value> {
    let mut value = serde_json::to_value(request)?;
    value["more"] = more.into();
    Ok(value)
}

/// What came back.
pub(super) enum Returned {
    /// Progress; more follows.
    Progress(Reply),
    /// The end.
    End(Result<Reply, CallError>),
}

pub(super) fn write_reply(reply: &Result<Reply, CallError>, continues: bool) -> Value {
    match reply {
        Ok(reply) => {
            let mut value = json!({ "parameters": { "reply": reply } });
            if continues {
                value["continues"] = true.into();
            }
            value
        }
        Err(error) => json!({ "error": format!("{PREFIX}{}", error.kind.as_str()), "parameters": error }),
    }
}

pub(super) fn read_reply(mut value: Value) -> Result<Returned, CallError> {
    let parameters = value["parameters"].take();
    if let Some(name) = value["error"].as_str() {
        let mut error: CallError = read(parameters)?;
        error.kind = ErrorKind::from_wire(name.strip_prefix(PREFIX).unwrap_or(name));
        return Ok(Returned::End(Err(error)));
    }
    let mut parameters = parameters;
    let reply = read(parameters["reply"].take())?;
    Ok(if value["continues"] == true { Returned::Progress(reply) } else { Returned::End(Ok(reply)) })
}

fn read<T: DeserializeOwned>(value: Value) -> Result<T, CallError> {
    serde_json::from_value(value).map_err(CallError::invalid)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::control::protocol::Asked;

    #[test]
    fn a_frame_may_come_in_any_pieces() {
        let mut codec = FrameCodec::new(100);
        let mut bytes = BytesMut::new();
        let mut found = Vec::new();
        for byte in b"{\"a\":1}\0{\"b\":\"\\u0000\"}\0" {
            bytes.put_u8(*byte);
            found.extend(codec.decode(&mut bytes).expect("they are small"));
        }
        assert_eq!(found, [json!({"a": 1}), json!({"b": "\0"})]);
    }

    #[test]
    fn a_frame_that_is_too_large_or_no_json_is_refused() {
        let mut bytes = BytesMut::from(&[b'x'; 101][..]);
        assert!(FrameCodec::new(100).decode(&mut bytes).is_err());
        assert!(FrameCodec::new(100).decode(&mut BytesMut::from(&b"nonsense\0"[..])).is_err());
    }

    #[test]
    fn calls_look_as_varlink_has_them() {
        let request = Request::Ctl { domains: Asked::All, command: "show bgp".to_owned(), raw: false };
        let value = write_call(&request, true).expect("it is serialisable");
        assert_eq!(
            value,
            json!({"method": "org.rdsup.Ctl", "more": true,
                   "parameters": {"domains": "all", "command": "show bgp", "raw": false}})
        );
        assert_eq!(read_call(value), Ok((request, true)));
        assert_eq!(read_call(json!({"method": "org.rdsup.Status"})), Ok((Request::Status { counters: false }, false)));
        assert!(read_call(json!({"method": "org.rdsup.Sing"})).is_err());
        assert!(read_call(json!([1])).is_err());
    }

    #[test]
    fn replies_and_errors_come_back_as_they_were() {
        let error = CallError { kind: ErrorKind::Denied, message: "no".to_owned(), hint: Some("sudo".to_owned()) };
        for (reply, continues) in
            [(Ok(Reply::Done), false), (Ok(Reply::Lines(vec!["x".to_owned()])), true), (Err(error), false)]
        {
            let value = write_reply(&reply, continues);
            match read_reply(value).expect("it is one of ours") {
                Returned::Progress(found) => assert!(continues && Ok(found) == reply),
                Returned::End(found) => assert!(!continues && found == reply),
            }
        }
    }
}
