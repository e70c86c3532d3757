// SPDX-License-Identifier: GPL-2.0-only
//! Messages of device models.

use super::*;
use crate::MessageError;

#[test]
fn a_message_is_an_event_of_its_input() {
    let d = domain(&EXTENDED);
    d.ready(1, &[40]);
    d.done(1, MAP, [5, mpidr(1), 40]);
    d.host.kicked();
    for _ in 0..3 {
        assert_eq!(d.message(5), Ok(()));
        assert_eq!(d.answer_kicks(), [1]);
        assert_eq!(d.acknowledged(1), Some(40));
        d.done(1, CLEAR_MASKED, [mpidr(1), 40, 0]);
    }
    assert_eq!(crate::rvic::MESSAGE_ADDRESS, 0xba5e_0000);
}

#[test]
fn a_message_that_does_nothing_says_why() {
    assert_eq!(domain(&LEAST).message(5), Err(MessageError::NoDevice));
    let d = domain(&EXTENDED);
    for data in [0, 3, 8, u32::MAX] {
        assert_eq!(d.message(data), Err(MessageError::NoEvent), "{data}");
    }
    assert_eq!(d.message(4), Err(MessageError::Disabled), "not mapped");
    d.done(0, MAP, [4, 0, 40]);
    assert_eq!(
        d.message(4),
        Err(MessageError::Disabled),
        "its rVIC is disabled"
    );
    d.done(0, ENABLE, [0; 3]);
    assert_eq!(d.message(4), Ok(()));
    d.done(0, CLEAR_MASKED, [0, 40, 0]);
    assert_eq!(d.acknowledged(0), Some(40));
    assert_eq!(d.acknowledged(0), None, "what was refused is not kept");
}
