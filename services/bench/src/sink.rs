//! A mail server that takes everything and keeps nothing: what is left of the time is the sender's.

use std::net::SocketAddr;

use tokio::{
    io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader},
    net::{TcpListener, TcpStream},
    task::JoinSet,
};
use tokio_util::task::AbortOnDropHandle;

use crate::Failure;

/// The server, until it is dropped.
pub(crate) struct Sink {
    address: SocketAddr,
    _serving: AbortOnDropHandle<()>,
}

impl Sink {
    pub(crate) async fn start() -> Result<Self, Failure> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?;
        let serving = tokio::spawn(async move {
            let mut clients = JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                clients.spawn(serve(stream));
            }
        });
        Ok(Self { address, _serving: AbortOnDropHandle::new(serving) })
    }

    pub(crate) fn url(&self) -> String {
        format!("smtp://{}", self.address)
    }
}

/// One connection, until the client hangs up.
async fn serve(stream: TcpStream) -> std::io::Result<()> {
    stream.set_nodelay(true)?;
    let mut stream = BufReader::with_capacity(1 << 16, stream);
    let mut line = Vec::new();
    let mut answer: &[u8] = b"220 ready\r\n";
    loop {
        stream.write_all(answer).await?;
        line.clear();
        if stream.read_until(b'\n', &mut line).await? == 0 {
            return Ok(());
        }
        answer = match line.get(..4) {
            Some(b"EHLO") => b"250-sink\r\n250 8BITMIME\r\n",
            Some(b"DATA") => {
                stream.write_all(b"354 go on\r\n").await?;
                while line != b".\r\n" {
                    line.clear();
                    if stream.read_until(b'\n', &mut line).await? == 0 {
                        return Ok(());
                    }
                }
                b"250 taken\r\n"
            }
            _ => b"250 fine\r\n",
        };
    }
}
