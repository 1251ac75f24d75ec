//! The only place that names `nix`: many datagrams with one call of the system, in either direction.
//!
//! A call costs more than what CoAP does with a datagram. `quinn-udp` takes in batches too, but sends many to one peer;
//! answers of a commit go to many peers.

use std::{
    cell::RefCell,
    io::{self, IoSlice, IoSliceMut},
    net::{SocketAddr, UdpSocket as StdSocket},
    os::fd::AsRawFd,
};

use nix::sys::socket::{MsgFlags, MultiHeaders, SockaddrStorage, recvmmsg, sendmmsg};
use tokio::{io::Interest, net::UdpSocket};

use crate::session::coap::Outbox;

/// Datagrams that one call takes in or sends.
pub(crate) const BATCH_MAX: usize = 64;
/// Bytes that the kernel is asked to keep of what has not been taken in: what a commit of the disk may take long for.
pub(crate) const RECEIVE_BYTES_MAX: usize = 4 * 1024 * 1024;

/// Opens a socket on `address` that shares its port with the other workers' sockets. Says how many bytes the kernel
/// keeps for it.
///
/// # Errors
/// The address cannot be bound.
pub(crate) fn bind(address: SocketAddr) -> io::Result<(StdSocket, usize)> {
    let socket = socket2::Socket::new(
        socket2::Domain::for_address(address),
        socket2::Type::DGRAM,
        Some(socket2::Protocol::UDP),
    )?;
    socket.set_reuse_port(true)?;
    socket.set_nonblocking(true)?;
    socket.set_recv_buffer_size(RECEIVE_BYTES_MAX)?;
    socket.set_send_buffer_size(RECEIVE_BYTES_MAX)?;
    socket.bind(&address.into())?;
    // The kernel says twice what it was asked for, since it counts its own books (socket(7)).
    let granted_bytes = socket.recv_buffer_size()? / 2;
    Ok((socket.into(), granted_bytes))
}

/// One socket, and room for one batch in each direction.
pub(crate) struct Datagrams {
    socket: UdpSocket,
    incoming: RefCell<Incoming>,
    outgoing: RefCell<MultiHeaders<SockaddrStorage>>,
}

struct Incoming {
    headers: MultiHeaders<SockaddrStorage>,
    /// Room for [`BATCH_MAX`] datagrams.
    buffer: Vec<u8>,
    room_bytes: usize,
}

impl Datagrams {
    /// Of a longer datagram than `datagram_bytes_max` one byte more is given, and the rest is cut off.
    ///
    /// # Errors
    /// The runtime does not take the socket.
    pub(crate) fn new(socket: StdSocket, datagram_bytes_max: usize) -> io::Result<Self> {
        let room_bytes = datagram_bytes_max.saturating_add(1);
        let incoming = Incoming {
            headers: MultiHeaders::preallocate(BATCH_MAX, None),
            buffer: vec![0; BATCH_MAX.saturating_mul(room_bytes)],
            room_bytes,
        };
        Ok(Self {
            socket: UdpSocket::from_std(socket)?,
            incoming: RefCell::new(incoming),
            outgoing: RefCell::new(MultiHeaders::preallocate(BATCH_MAX, None)),
        })
    }

    /// Takes in one batch and hands each datagram to `each`. Says how many there were, 0 when the socket is empty.
    ///
    /// # Errors
    /// The socket's error.
    pub(crate) fn receive(&self, mut each: impl FnMut(SocketAddr, &[u8])) -> io::Result<usize> {
        let mut incoming = self.incoming.borrow_mut();
        let Incoming { headers, buffer, room_bytes } = &mut *incoming;
        let mut slices: Vec<[IoSliceMut<'_>; 1]> =
            buffer.chunks_exact_mut(*room_bytes).map(|chunk| [IoSliceMut::new(chunk)]).collect();
        let mut count = 0;
        let taken = self.socket.try_io(Interest::READABLE, || {
            let batch =
                recvmmsg(self.socket.as_raw_fd(), headers, &mut slices, MsgFlags::MSG_DONTWAIT, None)?;
            for message in batch {
                count += 1;
                let peer = message.address.as_ref().and_then(plain);
                if let (Some(peer), Some(bytes)) = (peer, message.iovs().next()) {
                    each(peer, bytes);
                }
            }
            // The socket was empty behind a short batch: the runtime is told, and wakes the worker for the next datagram.
            if count < BATCH_MAX { Err(io::ErrorKind::WouldBlock.into()) } else { Ok(()) }
        });
        match taken {
            Err(error) if error.kind() != io::ErrorKind::WouldBlock => Err(error),
            _ => Ok(count),
        }
    }

    /// Sends from `outbox` what is behind the first `done`. Says how many are done then: all, unless the kernel has no
    /// room. A datagram that cannot be sent to where it should go is passed over.
    pub(crate) fn send(&self, outbox: &Outbox, mut done: usize) -> usize {
        while done < outbox.len() {
            let batch = || outbox.iter().skip(done).take(BATCH_MAX);
            let slices: Vec<[IoSlice<'_>; 1]> = batch().map(|(_, bytes)| [IoSlice::new(bytes)]).collect();
            let addresses: Vec<Option<SockaddrStorage>> =
                batch().map(|(peer, _)| Some(peer.into())).collect();
            let mut headers = self.outgoing.borrow_mut();
            let sent = self.socket.try_io(Interest::WRITABLE, || {
                let flags = MsgFlags::MSG_DONTWAIT;
                let sent = sendmmsg(self.socket.as_raw_fd(), &mut headers, &slices, &addresses, [], flags)?;
                Ok(sent.count())
            });
            match sent {
                Ok(count) => done += count.max(1),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return done,
                Err(error) => {
                    tracing::trace!(%error, "a datagram cannot be sent");
                    done += 1;
                }
            }
        }
        done
    }

    /// Waits until the socket has something, or room for something.
    ///
    /// # Errors
    /// The runtime is going.
    pub(crate) async fn ready(&self, interest: Interest) -> io::Result<()> {
        self.socket.ready(interest).await.map(drop)
    }
}

fn plain(address: &SockaddrStorage) -> Option<SocketAddr> {
    let v4 = address.as_sockaddr_in().map(|v4| SocketAddr::from(*v4));
    v4.or_else(|| address.as_sockaddr_in6().map(|v6| SocketAddr::from(*v6)))
}
