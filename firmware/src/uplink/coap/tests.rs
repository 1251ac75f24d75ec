use std::{collections::VecDeque, vec::Vec};

use core::{
    cell::{Cell, RefCell},
    convert::Infallible,
    future::{Future, pending, poll_fn},
    pin::pin,
    task::{Context, Poll, Waker},
};

use super::*;
use crate::{Channel, store::RamStore};

const CHANNELS: [Channel; 1] = [Channel { name: "temperature", unit: "", places: 1 }];

/// Time that passes when nothing else does.
#[derive(Default)]
struct Passing(Cell<u64>);

impl Clock for Passing {
    fn now_ms(&self) -> u64 {
        self.0.get()
    }

    async fn wait_until(&self, ms: u64) {
        let mut is_first = true;
        poll_fn(|_| {
            // Whoever listens is asked first, so time passes only for who hears nothing.
            if core::mem::take(&mut is_first) && ms > self.0.get() {
                return Poll::Pending;
            }
            self.0.set(self.0.get().max(ms));
            Poll::Ready(())
        })
        .await;
    }
}

/// A network whose far end answers as it was told: to each datagram that is sent, what then comes back.
#[derive(Default)]
struct Scripted {
    answers: RefCell<VecDeque<Vec<Vec<u8>>>>,
    sent: RefCell<Vec<Vec<u8>>>,
    arriving: RefCell<VecDeque<Vec<u8>>>,
}

impl ConnectedUdp for &Scripted {
    type Error = Infallible;

    async fn send(&mut self, bytes: &[u8]) -> Result<(), Infallible> {
        self.sent.borrow_mut().push(bytes.to_vec());
        // Acknowledgements of ours are not answered.
        if bytes.len() > 4 {
            self.arriving.borrow_mut().extend(self.answers.borrow_mut().pop_front().unwrap_or_default());
        }
        Ok(())
    }

    async fn receive_into(&mut self, out: &mut [u8]) -> Result<usize, Infallible> {
        let next = self.arriving.borrow_mut().pop_front();
        match next {
            Some(bytes) => {
                out[..bytes.len()].copy_from_slice(&bytes);
                Ok(bytes.len())
            }
            None => pending().await,
        }
    }
}

/// Sends one reading; what came of it, what was sent, and how long that took.
fn deliver(answers: &[&[&[u8]]]) -> (Result<Verdict, Ended>, Vec<Vec<u8>>, u64) {
    let to_vec = |bytes: &&[u8]| bytes.to_vec();
    let network = Scripted::default();
    network.answers.borrow_mut().extend(answers.iter().map(|bytes| bytes.iter().map(to_vec).collect()));
    let login = Identity {
        device: "porch".try_into().expect("short"),
        secret: "s".try_into().expect("short"),
        boot_base: 0,
    };
    let outbox = Outbox::new(RamStore::<1, 4>::new(Some(login.clone())), CHANNELS, [1; 32]);
    outbox.push([Some(366)], 0);
    let clock = Passing::default();
    let mut payload = [0; PAYLOAD_BYTES_MAX];
    let mut uplink = CoapUplink::new(&network, 0x0102_0303);
    let outcome = run(async {
        let letter = outbox.next(&clock, &mut payload).await;
        uplink.deliver((&login, letter, &payload[..letter.len]), &clock).await
    });
    (outcome, network.sent.take(), clock.now_ms())
}

fn run<T>(work: impl Future<Output = T>) -> T {
    let mut work = pin!(work);
    for _ in 0..1_000 {
        if let Poll::Ready(done) = work.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
            return done;
        }
    }
    panic!("it waits for ever");
}

/// Token and id of the first message.
const CHANGED: &[u8] = &[0x64, 0x44, 3, 4, 1, 2, 3, 4];
const NO_ROOM: &[u8] = &[0x64, 0xa3, 3, 4, 1, 2, 3, 4, 0xd1, 1, 30];
const EMPTY: &[u8] = &[0x60, 0, 3, 4];

#[test]
fn a_reading_is_kept_with_its_2_04() {
    let (outcome, sent, ms) = deliver(&[&[CHANGED]]);
    assert_eq!((outcome, sent.len(), ms), (Ok(Verdict::Kept), 1, 0));
    let payload = br#"{"boot":1,"seq":1,"values":{"temperature":36.6}}"#;
    assert!(sent[0].ends_with(payload), "{:?}", std::string::String::from_utf8_lossy(&sent[0]));
}

#[test]
fn what_is_not_answered_is_sent_again_the_same_and_given_up_in_the_end() {
    let (outcome, sent, ms) = deliver(&[&[], &[], &[CHANGED]]);
    assert_eq!((outcome, sent.len()), (Ok(Verdict::Kept), 3));
    assert!(sent.iter().all(|message| *message == sent[0]), "with its id, so that it is stored once");
    assert!((6_000..9_000).contains(&ms), "{ms}");
    let (outcome, sent, ms) = deliver(&[]);
    assert_eq!((outcome, sent.len()), (Err(Ended::Broken), 5));
    assert!((62_000..93_000).contains(&ms), "MAX_TRANSMIT_WAIT: {ms}");
}

#[test]
fn an_answer_may_come_by_itself_and_is_acknowledged() {
    let separate = [0x44, 0x44, 0x77, 0x88, 1, 2, 3, 4];
    let (outcome, sent, _) = deliver(&[&[EMPTY, &separate]]);
    assert_eq!((outcome, sent.len()), (Ok(Verdict::Kept), 2));
    assert_eq!(sent[1], acknowledgement(0x7788));
    // It was lost on the way: the request is sent again.
    let (outcome, sent, ms) = deliver(&[&[EMPTY], &[CHANGED]]);
    assert_eq!((outcome, sent.len()), (Ok(Verdict::Kept), 2));
    assert!(ms >= SEPARATE_MS_MAX, "{ms}");
}

#[test]
fn what_belongs_to_another_request_is_not_taken_for_an_answer() {
    let other_id = [0x64, 0x44, 9, 9, 1, 2, 3, 4];
    let other_token = [0x64, 0x44, 3, 4, 9, 9, 9, 9];
    let old = [0x44, 0x44, 0x55, 0x66, 9, 9, 9, 9];
    let (outcome, sent, _) = deliver(&[&[b"noise", &other_id, &other_token, &old, CHANGED]]);
    assert_eq!(outcome, Ok(Verdict::Kept));
    assert_eq!(sent[1..], [acknowledgement(0x5566)], "or it would come again and again");
}

#[test]
fn what_the_gateway_says_is_what_happens() {
    let answer = |class, detail| [0x64, code(class, detail), 3, 4, 1, 2, 3, 4];
    assert_eq!(deliver(&[&[NO_ROOM]]).0, Ok(Verdict::Later { wait_ms: 30_000 }));
    assert_eq!(deliver(&[&[&answer(4, 29)]]).0, Err(Ended::Later { wait_ms: 60_000 }));
    assert_eq!(deliver(&[&[&answer(4, 0)]]).0, Ok(Verdict::Never));
    for detail in [1, 3] {
        assert_eq!(deliver(&[&[&answer(4, detail)]]).0, Err(Ended::Refused));
    }
    assert_eq!(deliver(&[&[&answer(5, 0)]]).0, Ok(Verdict::Later { wait_ms: 0 }));
    assert_eq!(deliver(&[&[&[0x70, 0, 3, 4]]]).0, Err(Ended::Broken), "a reset");
}
