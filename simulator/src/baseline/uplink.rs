use std::{
    io,
    net::{Ipv4Addr, SocketAddr},
};

use tokio::{
    io::copy_bidirectional,
    net::{TcpListener, TcpStream},
    sync::watch,
    task::{JoinHandle, JoinSet},
};

/// Connections that are carried at a time; further ones are closed.
const CONNECTIONS_MAX: usize = 64;

/// A way through that can be broken: what connects to its port is carried on to another, or closed while it is down.
#[derive(Debug)]
pub(super) struct Uplink {
    pub(super) port: u16,
    is_up: watch::Sender<bool>,
    task: JoinHandle<()>,
}

impl Uplink {
    /// A way to `to`, a port of loopback.
    pub(super) async fn open(to: u16) -> io::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let port = listener.local_addr()?.port();
        let (is_up, watched) = watch::channel(true);
        let task = tokio::spawn(carry_all(listener, SocketAddr::from((Ipv4Addr::LOCALHOST, to)), watched));
        Ok(Self { port, is_up, task })
    }

    /// `false` breaks all connections and takes no more.
    pub(super) fn set(&self, is_up: bool) {
        self.is_up.send_replace(is_up);
    }
}

impl Drop for Uplink {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn carry_all(listener: TcpListener, to: SocketAddr, is_up: watch::Receiver<bool>) {
    let mut connections = JoinSet::new();
    while let Ok((stream, _)) = listener.accept().await {
        while connections.try_join_next().is_some() {}
        if *is_up.borrow() && connections.len() < CONNECTIONS_MAX {
            connections.spawn(carry(stream, to, is_up.clone()));
        }
    }
}

async fn carry(mut from: TcpStream, to: SocketAddr, mut is_up: watch::Receiver<bool>) {
    let Ok(mut onward) = TcpStream::connect(to).await else { return };
    // An end without delay costs what is on its way, as a broken line does; the two ends send it again.
    let _plain = from.set_nodelay(true).and(onward.set_nodelay(true)).is_err();
    tokio::select! {
        carried = copy_bidirectional(&mut from, &mut onward) => drop(carried),
        down = is_up.wait_for(|is_up| !is_up) => drop(down),
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

    use super::*;

    async fn echo() -> u16 {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let port = listener.local_addr().unwrap().port();
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                tokio::spawn(async move {
                    let (mut read, mut write) = stream.split();
                    drop(tokio::io::copy(&mut read, &mut write).await);
                });
            }
        });
        port
    }

    async fn answers(port: u16) -> bool {
        let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).await.unwrap();
        let mut byte = [0];
        stream.write_all(b"x").await.is_ok() && stream.read_exact(&mut byte).await.is_ok() && byte == *b"x"
    }

    #[tokio::test]
    async fn what_is_down_closes_and_what_is_up_again_carries() {
        let uplink = Uplink::open(echo().await).await.unwrap();
        let mut open = TcpStream::connect((Ipv4Addr::LOCALHOST, uplink.port)).await.unwrap();
        open.write_all(b"y").await.unwrap();
        assert_eq!(open.read_u8().await.unwrap(), b'y');
        uplink.set(false);
        assert!(open.read_u8().await.is_err(), "the open connection is broken");
        assert!(!answers(uplink.port).await);
        uplink.set(true);
        assert!(answers(uplink.port).await);
    }

    #[tokio::test]
    async fn connections_max_is_reached() {
        let uplink = Uplink::open(echo().await).await.unwrap();
        let mut open = Vec::new();
        for _ in 0..CONNECTIONS_MAX {
            let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, uplink.port)).await.unwrap();
            stream.write_all(b"z").await.unwrap();
            assert_eq!(stream.read_u8().await.unwrap(), b'z');
            open.push(stream);
        }
        assert!(!answers(uplink.port).await);
        drop(open.pop());
        while !answers(uplink.port).await {}
    }
}
