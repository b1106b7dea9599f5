//! Every mail as its reader sees it, in both languages.

#![expect(clippy::unwrap_used, reason = "a test that fails panics")]

use codec::StateChange;
use events::{Currency, Event, EventBody, Locale, Money, OrderDetails, Pieces, State};
use mailer::Renderer;
use ports::Mail;
use testkit::sample;

/// The change that brings an order of `details` into `state`.
fn change_into(state: State, details: OrderDetails) -> StateChange {
    let id = sample::order_id(1);
    let placed = sample::placed_with(id, details);
    let Event { body: EventBody::OrderPlaced(details), .. } = &placed else { unreachable!() };
    let total = Money { amount: details.total(), currency: details.currency() };
    let captured = EventBody::PaymentCaptured { amount: total, reference: None };
    let captured = sample::event(id, 1, captured);
    let sent = [captured.clone(), sample::preparation_started(id), sample::shipped(id)];
    let delivered = sample::delivered(id);
    let undelivered = sample::event(id, 8, EventBody::DeliveryFailed { reason: None });
    let last = |body| sample::event(id, 9, body);
    let mut events = vec![placed];
    match state {
        State::Placed => {}
        State::Paid => events.push(captured),
        State::PaymentFailed => events.push(last(EventBody::PaymentDeclined { reason: None })),
        State::Preparing => events.extend(sent.into_iter().take(2)),
        State::Shipped => events.extend(sent),
        State::Delivered => events.extend(sent.into_iter().chain([delivered])),
        State::DeliveryFailed => events.extend(sent.into_iter().chain([undelivered])),
        State::Completed => {
            events.extend(sent.into_iter().chain([delivered, sample::completed(id)]));
        }
        State::Cancelled => events.extend([captured, sample::cancelled(id)]),
        State::ReturnRequested => {
            let requested =
                last(EventBody::ReturnRequested { reason: None, pieces: Pieces::default() });
            events.extend(sent.into_iter().chain([delivered, requested]));
        }
        State::Returned => {
            events.extend(sent.into_iter().chain([
                undelivered,
                last(EventBody::OrderReturned { pieces: Pieces::default() }),
            ]));
        }
        State::Refunded => {
            let refunded = EventBody::PaymentRefunded {
                amount: total,
                reference: None,
                pieces: Pieces::default(),
            };
            events.extend([captured, last(refunded)]);
        }
    }
    let change = sample::changes(&events).pop().unwrap();
    assert_eq!(change.entered(), Some(state));
    change
}

fn shown(mail: &Mail) -> String {
    let Mail { message_id, to, to_name, subject, text, html } = mail;
    let to_name = to_name.as_deref().unwrap_or("-");
    format!(
        "Message-ID: {message_id}\nTo: {to} ({to_name})\nSubject: {subject}\n\n{text}\n\n--- HTML ---\n{html}"
    )
}

fn in_language(tag: &str) -> OrderDetails {
    sample::details_with(|draft| draft.customer.locale = Some(Locale::new(tag).unwrap()))
}

#[test]
fn every_state_in_both_languages() {
    let renderer = Renderer::new();
    for (folder, tag) in [("en", "en-GB"), ("es", "es-CL")] {
        for state in State::ALL {
            let mail = renderer.mail(&change_into(state, in_language(tag))).unwrap();
            insta::assert_snapshot!(format!("{folder}_{state}"), shown(&mail));
        }
    }
}

#[test]
fn a_hostile_customer_writes_no_html_and_no_header() {
    let details = sample::details_with(|draft| {
        draft.customer.name =
            Some(sample::text("<script>alert(1)</script>\r\nBcc: all@example.com"));
        draft.customer.locale = None;
        draft.currency = Currency::EUR;
        draft.lines[0].name = sample::text("Mug \"<b>\" & 'co' {{ total }}");
        draft.shipping_address = sample::text("</p><img src=x onerror=y>\n\n{% raw %}");
    });
    let mail = Renderer::new().mail(&change_into(State::Placed, details)).unwrap();
    assert!(!mail.subject.contains('\n') && !mail.to_name.as_ref().unwrap().contains(['\r', '\n']));
    assert!(!mail.html.contains("<script>") && !mail.html.contains("<img"));
    insta::assert_snapshot!("hostile", shown(&mail));
}

#[test]
fn a_nameless_customer_with_an_unknown_language_reads_english() {
    let details = sample::details_with(|draft| {
        draft.customer.name = None;
        draft.customer.locale = Some(Locale::new("tlh").unwrap());
    });
    let mail = Renderer::new().mail(&change_into(State::Preparing, details)).unwrap();
    assert!(mail.text.starts_with("Hello,\n"), "{}", mail.text);
    assert_eq!(mail.to_name, None);
}

#[test]
fn no_mail_is_written_about_a_change_that_moves_nothing() {
    let id = sample::order_id(1);
    let changes = sample::changes(&[sample::placed(id), sample::delivered(id)]);
    assert!(Renderer::new().mail(&changes[1]).is_err());
}
