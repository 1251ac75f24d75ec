use embassy_net::{
    IpEndpoint,
    udp::{SendError, UdpSocket},
};
use embedded_io_async::{Error, ErrorKind};
use embedded_nal_async::ConnectedUdp;

/// A UDP socket of embassy-net whose far end is the gateway.
pub struct Datagrams<'n> {
    socket: UdpSocket<'n>,
    gateway: IpEndpoint,
}

impl<'n> Datagrams<'n> {
    /// Through `socket`, which is bound. What others send to it is not heard.
    #[must_use]
    pub const fn new(socket: UdpSocket<'n>, gateway: IpEndpoint) -> Self {
        Self { socket, gateway }
    }
}

/// A datagram that was not sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Unsent(SendError);

impl core::fmt::Display for Unsent {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str(match self.0 {
            SendError::NoRoute => "no way there",
            SendError::SocketNotBound => "the socket is not bound",
            SendError::PacketTooLarge => "larger than the socket's buffer",
        })
    }
}

impl core::error::Error for Unsent {}

impl Error for Unsent {
    fn kind(&self) -> ErrorKind {
        match self.0 {
            SendError::NoRoute => ErrorKind::NotConnected,
            SendError::SocketNotBound => ErrorKind::InvalidInput,
            SendError::PacketTooLarge => ErrorKind::OutOfMemory,
        }
    }
}

impl ConnectedUdp for Datagrams<'_> {
    type Error = Unsent;

    async fn send(&mut self, bytes: &[u8]) -> Result<(), Unsent> {
        self.socket.send_to(bytes, self.gateway).await.map_err(Unsent)
    }

    async fn receive_into(&mut self, out: &mut [u8]) -> Result<usize, Unsent> {
        loop {
            // One that does not fit is none that is waited for.
            if let Ok((len, from)) = self.socket.recv_from(out).await
                && from.endpoint == self.gateway
            {
                return Ok(len);
            }
        }
    }
}
