//! Asks a running process for a page over HTTP/1.

use std::{error::Error, fmt, net::SocketAddr, path::PathBuf, time::Duration};

use bytes::Bytes;
use http_body_util::{BodyExt, Empty, Limited};
use hyper::{Request, StatusCode, Uri, client::conn::http1, header};
use hyper_util::rt::TokioIo;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpStream, UnixStream},
    time::timeout,
};

use crate::config::{HttpListen, SignerAddress};

/// How long an answer is waited for, and how much of it is taken.
#[derive(Clone, Copy, Debug)]
pub struct Patience {
    /// From the connection to the end of the answer.
    pub time: Duration,
    /// Octets of the body.
    pub octets: usize,
}

impl Default for Patience {
    /// What the server gives one request, and a bit. 100,000 organisations make some 10 MB.
    fn default() -> Self {
        Self {
            time: Duration::from_secs(12),
            octets: 512 * 1024 * 1024,
        }
    }
}

/// Where a process serves its pages.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Endpoint {
    /// Host and port.
    Tcp(String, u16),
    /// A socket file.
    Unix(PathBuf),
}

/// What came back.
#[derive(Debug)]
pub struct Reply {
    /// What kind of answer it is.
    pub status: StatusCode,
    /// The body.
    pub text: String,
}

impl Endpoint {
    /// Where the configuration says; none if that is nowhere, or a port that nobody knows.
    pub fn of(listen: &HttpListen) -> Option<Self> {
        match listen {
            HttpListen::Off => None,
            HttpListen::Unix(path) => Some(Self::Unix(path.clone())),
            HttpListen::Tcp(address) if address.port() == 0 => None,
            HttpListen::Tcp(address) => {
                let address = reachable(*address);
                Some(Self::Tcp(address.ip().to_string(), address.port()))
            }
        }
    }

    /// Where the configuration says that a signer is.
    pub fn of_signer(address: &SignerAddress) -> Self {
        match address {
            SignerAddress::Http { host, port } => Self::Tcp(host.clone(), *port),
            SignerAddress::Unix(path) => Self::Unix(path.clone()),
        }
    }

    /// `http://HOST:PORT` or `unix:/PATH`.
    ///
    /// # Errors
    ///
    /// How it is written.
    pub fn parse(text: &str) -> Result<Self, String> {
        let advice = "write http://127.0.0.1:9465 or unix:/run/zegel/http.sock";
        if let Some(path) = text.strip_prefix("unix:") {
            let path = PathBuf::from(path);
            return if path.is_absolute() {
                Ok(Self::Unix(path))
            } else {
                Err(advice.to_owned())
            };
        }
        let uri: Uri = text.parse().map_err(|_| advice.to_owned())?;
        let is_ours = uri.scheme_str() == Some("http")
            && matches!(uri.path(), "" | "/" | "/metrics")
            && uri.query().is_none();
        match uri.host() {
            Some(host) if is_ours => {
                let host = host.trim_matches(['[', ']']).to_owned();
                Ok(Self::Tcp(host, uri.port_u16().unwrap_or(80)))
            }
            _ => Err(advice.to_owned()),
        }
    }

    /// Asks for a page.
    ///
    /// # Errors
    ///
    /// Why there is none, for people.
    pub async fn get(&self, path: &str) -> Result<Reply, String> {
        self.get_within(path, Patience::default()).await
    }

    /// The same, with bounds of one's own.
    ///
    /// # Errors
    ///
    /// Why there is none, for people.
    pub async fn get_within(&self, path: &str, patience: Patience) -> Result<Reply, String> {
        let Patience { time, octets } = patience;
        let answer = timeout(time, self.ask(path, octets)).await;
        let answer = answer.map_err(|_| format!("no answer in {} seconds", time.as_secs()))?;
        answer.map_err(|error| error.to_string())
    }

    async fn ask(&self, path: &str, octets: usize) -> Result<Reply, Box<dyn Error + Send + Sync>> {
        match self {
            Self::Tcp(host, port) => {
                let stream = TcpStream::connect((host.as_str(), *port)).await?;
                let address = stream.peer_addr()?;
                let reply = request(stream, &self.to_string(), path, octets).await?;
                if reply.status != StatusCode::MISDIRECTED_REQUEST {
                    return Ok(reply);
                }
                // A name could be anybody's; the address behind it could not.
                let stream = TcpStream::connect(address).await?;
                request(stream, &address.to_string(), path, octets).await
            }
            Self::Unix(socket) => {
                request(
                    UnixStream::connect(socket).await?,
                    "localhost",
                    path,
                    octets,
                )
                .await
            }
        }
    }
}

/// As people write it.
impl fmt::Display for Endpoint {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(host, port) if host.contains(':') => write!(formatter, "[{host}]:{port}"),
            Self::Tcp(host, port) => write!(formatter, "{host}:{port}"),
            Self::Unix(path) => write!(formatter, "unix:{}", path.display()),
        }
    }
}

/// Who listens on all addresses listens on that of this host too.
fn reachable(mut address: SocketAddr) -> SocketAddr {
    match address {
        SocketAddr::V4(v4) if v4.ip().is_unspecified() => address.set_ip([127, 0, 0, 1].into()),
        SocketAddr::V6(v6) if v6.ip().is_unspecified() => {
            address.set_ip(std::net::Ipv6Addr::LOCALHOST.into());
        }
        _ => {}
    }
    address
}

async fn request(
    stream: impl AsyncRead + AsyncWrite + Send + Unpin + 'static,
    host: &str,
    path: &str,
    octets: usize,
) -> Result<Reply, Box<dyn Error + Send + Sync>> {
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
    let driver = tokio::spawn(connection);
    let request = Request::get(path)
        .header(header::HOST, host)
        .body(Empty::<Bytes>::new())?;
    let response = sender.send_request(request).await?;
    let status = response.status();
    let body = Limited::new(response.into_body(), octets);
    let body = body.collect().await?.to_bytes();
    driver.abort();
    let text = String::from_utf8(body.into()).map_err(|_| "the answer is not UTF-8")?;
    Ok(Reply { status, text })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn endpoints_are_what_is_written() {
        for (text, expected) in [
            ("http://127.0.0.1:9465", Some("127.0.0.1:9465")),
            ("http://127.0.0.1:9465/metrics", Some("127.0.0.1:9465")),
            ("http://[::1]:9465/", Some("[::1]:9465")),
            ("http://relay.example", Some("relay.example:80")),
            (
                "unix:/run/zegel/http.sock",
                Some("unix:/run/zegel/http.sock"),
            ),
            ("unix:http.sock", None),
            ("https://relay.example", None),
            ("127.0.0.1:9465", None),
            ("http://relay.example/other", None),
            ("http://", None),
            ("", None),
        ] {
            let endpoint = Endpoint::parse(text).ok().map(|one| one.to_string());
            assert_eq!(endpoint.as_deref(), expected, "{text}");
        }
    }

    #[test]
    fn the_address_of_the_configuration_can_be_reached() {
        for (listen, expected) in [
            (HttpListen::Off, None),
            (
                HttpListen::Tcp("0.0.0.0:9465".parse().unwrap()),
                Some("127.0.0.1:9465"),
            ),
            (
                HttpListen::Tcp("[::]:9465".parse().unwrap()),
                Some("[::1]:9465"),
            ),
            (HttpListen::Tcp("127.0.0.1:0".parse().unwrap()), None),
            (
                HttpListen::Unix("/run/h.sock".into()),
                Some("unix:/run/h.sock"),
            ),
        ] {
            let endpoint = Endpoint::of(&listen).map(|one| one.to_string());
            assert_eq!(endpoint.as_deref(), expected);
        }
    }
}
