//! The other side of the milter protocol, as far as the demonstration needs it: one message,
//! sent as Postfix sends it.

use std::net::SocketAddr;

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

use super::Failure;
use crate::dkim::Message;

/// What Postfix offers: protocol version 6, all actions, all protocol options.
const VERSION: u32 = 6;
const ACTIONS: u32 = 0x1ff;
const OPTIONS: u32 = 0x1f_ffff;
/// The largest frame that is read back.
const LARGEST_REPLY: usize = 1024 * 1024;
/// Postfix cuts the body like this.
const CHUNK_OCTETS: usize = 65_535;

/// Sends a message and gives it back as the MTA would pass it on.
pub(super) async fn send(address: SocketAddr, bytes: &[u8]) -> Result<Vec<u8>, Failure> {
    let message = Message::parse(bytes)?;
    let mut mta = Mta {
        stream: TcpStream::connect(address).await?,
    };
    let options = mta.negotiate().await?;
    mta.command(b'C', b"localhost\x004\x00\x00127.0.0.1\0")
        .await?;
    mta.command(b'D', b"M{mail_addr}\0info@gemeente.example\0")
        .await?;
    mta.command(b'M', b"<info@gemeente.example>\0").await?;
    for field in message.header.fields() {
        let value = String::from_utf8_lossy(field.value).replace("\r\n", "\n");
        let payload = [field.name, b"\0", value.as_bytes(), b"\0"].concat();
        mta.command(b'L', &payload).await?;
    }
    mta.command(b'N', b"").await?;
    for chunk in message.body.chunks(CHUNK_OCTETS) {
        mta.command(b'B', chunk).await?;
    }
    // Without these the replies to the commands above would have to be read.
    if options & NO_REPLIES != NO_REPLIES {
        return Err("the signer wants to reply before the end of the message".into());
    }
    mta.command(b'D', b"Ei\0DEMO\0").await?;
    mta.command(b'E', b"").await?;
    let mut signed = mta.inserted_fields().await?;
    signed.extend_from_slice(bytes);
    mta.command(b'Q', b"").await?;
    Ok(signed)
}

/// No replies to CONNECT, MAIL, HEADER, EOH and BODY.
const NO_REPLIES: u32 = 0x1000 | 0x4000 | 0x80 | 0x4_0000 | 0x8_0000;

struct Mta {
    stream: TcpStream,
}

impl Mta {
    async fn command(&mut self, kind: u8, payload: &[u8]) -> Result<(), Failure> {
        let length = u32::try_from(payload.len() + 1)?;
        let frame = [&length.to_be_bytes()[..], &[kind], payload].concat();
        Ok(self.stream.write_all(&frame).await?)
    }

    async fn reply(&mut self) -> Result<(u8, Vec<u8>), Failure> {
        let length = usize::try_from(self.stream.read_u32().await?)?;
        if length == 0 || length > LARGEST_REPLY {
            return Err("the reply is not of the milter protocol".into());
        }
        let mut frame = vec![0; length];
        self.stream.read_exact(&mut frame).await?;
        let payload = frame.split_off(1);
        Ok((frame[0], payload))
    }

    /// Gives the protocol options that the signer asks for.
    async fn negotiate(&mut self) -> Result<u32, Failure> {
        let offer: Vec<u8> = [VERSION, ACTIONS, OPTIONS]
            .iter()
            .flat_map(|word| word.to_be_bytes())
            .collect();
        self.command(b'O', &offer).await?;
        match self.reply().await? {
            (b'O', answer) if answer.len() >= 12 => {
                let options: [u8; 4] = answer[8..12].try_into()?;
                Ok(u32::from_be_bytes(options))
            }
            _ => Err("the signer did not negotiate".into()),
        }
    }

    /// The header fields that are inserted on top, until the message is accepted.
    async fn inserted_fields(&mut self) -> Result<Vec<u8>, Failure> {
        let mut top = Vec::new();
        loop {
            match self.reply().await? {
                (b'i', payload) => {
                    let mut parts = payload
                        .get(4..)
                        .unwrap_or_default()
                        .split(|&octet| octet == 0);
                    let (name, value) = (parts.next(), parts.next());
                    let (Some(name), Some(value)) = (name, value) else {
                        return Err("the inserted field is malformed".into());
                    };
                    let value = String::from_utf8_lossy(value).replace('\n', "\r\n");
                    let field = [name, b":", value.as_bytes(), b"\r\n"].concat();
                    top.splice(0..0, field);
                }
                (b'a', _) => return Ok(top),
                (b'y', text) => return Err(String::from_utf8_lossy(&text).into_owned().into()),
                (kind, _) => return Err(format!("unexpected reply {:?}", char::from(kind)).into()),
            }
        }
    }
}
