//! Frames of the bus.

use bytes::Bytes;
use cache_enterprise_core::KeySpace;
use cache_enterprise_core::coherence::{Change, EpochTarget, Frame, Notice, Sequence, SourceId};

/// Decodes a frame and gives it values. The first two bytes are the length of the values at the
/// end, as they travel beside the frame. What decodes is written and read again to the same
/// notices, and finds its values again after they were taken out.
pub fn bus_frame(input: &[u8]) {
    let Some((len, input)) = input.split_first_chunk() else { return };
    let values = input.len().saturating_sub(usize::from(u16::from_le_bytes(*len)));
    let (frame, values) = input.split_at(values);
    let Ok(mut frame) = Frame::decode(frame) else { return };
    there_and_back(&frame);
    let notices = frame.notices.len();
    frame.give_values(values);
    assert_eq!(frame.notices.len(), notices, "values belong to notices that are there");
    there_and_back(&frame);

    let mut bare = frame.clone();
    let taken = bare.take_values();
    assert!(bare.take_values().is_empty());
    bare.give_values(&taken);
    assert_eq!(bare, frame);
}

fn there_and_back(frame: &Frame) {
    let again = Frame::decode(&frame.encode()).expect("reads what it wrote");
    assert_eq!(again, *frame);
}

pub(crate) fn seeds() -> Vec<Vec<u8>> {
    let space = KeySpace::new("shop", "acme", "users").expect("short names");
    let key = space.key(&42_u64).expect("a short key");
    let changes = [
        Change::Key { key: key.clone(), value: None },
        Change::Key { key: key.clone(), value: Some(Bytes::from_static(b"Ada")) },
        Change::Expired { key: key.clone() },
        Change::Extended {
            key,
            etag: "\"v7\"".into(),
            from_wall_ms: 1_700_000_000_000,
            until_wall_ms: Some(1_800_000_000_000),
            expires_wall_ms: None,
        },
    ];
    let fields = ["*", ".", "cusers", "torg:7", "~torg:7", "gusers:4*"];
    let target = |field| EpochTarget::from_field(field).expect("a field of this version");
    let raised = fields.map(|field| Change::Raised(target(field)));
    let notice = |(at, change)| Notice { tenant: "acme".into(), at: Sequence(at), change };
    let frame = |changes: Vec<Change>| Frame {
        source: SourceId(7),
        notices: (9..).zip(changes).map(notice).collect(),
    };

    let beside = |mut frame: Frame| {
        let values = frame.take_values();
        let len = u16::try_from(values.len()).expect("short values");
        [&len.to_le_bytes()[..], &frame.encode(), &values].concat()
    };
    let within = |frame: Frame| [&[0, 0][..], &frame.encode()].concat();
    vec![
        within(frame(Vec::new())),
        within(frame(changes.to_vec())),
        beside(frame(changes.to_vec())),
        within(frame(raised.to_vec())),
    ]
}
