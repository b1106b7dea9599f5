//! The verb that watches: one line a change, until a signal or the stream's end.

use std::io::{self, Write as _};

use proto::v1::{self, watch_orders_response::Update};
use tokio::signal::unix::{SignalKind, signal};
use tonic::{Request, Status, Streaming};

use crate::{
    cli::WatchArgs,
    client::{
        ClientError, Session,
        out::{Named, Out},
        refused::{Kind, Refused},
    },
    table,
};

/// A message of a stream that can be gone on with.
trait Resumable: Named {
    fn resume_token(&self) -> &str;
    fn for_people(&self) -> String;
}

impl Resumable for v1::WatchOrderResponse {
    fn resume_token(&self) -> &str {
        &self.resume_token
    }

    fn for_people(&self) -> String {
        table::change(self)
    }
}

impl Resumable for v1::WatchOrdersResponse {
    fn resume_token(&self) -> &str {
        &self.resume_token
    }

    fn for_people(&self) -> String {
        match &self.update {
            Some(Update::Order(order)) => table::standing(order),
            Some(Update::Changed(changed)) => table::change(changed),
            Some(Update::CaughtUp(v1::CaughtUp {})) => "-- changes from here on".to_owned(),
            // Of a later version of the API.
            None => String::new(),
        }
    }
}

pub(crate) async fn run(session: &mut Session, args: WatchArgs) -> Result<(), ClientError> {
    let WatchArgs { order_id, filter, resume, changes_only } = args;
    // Without a deadline: the session's time is for the begin of the stream, which the channel sees to.
    if let Some(order_id) = order_id {
        let request =
            Request::new(v1::WatchOrderRequest { order_id, resume_token: resume.clone() });
        let updates = session.client.watch_order(request).await;
        let updates = updates.map_err(|status| broken(&status, &resume))?.into_inner();
        follow(&session.out, updates, resume).await
    } else {
        let filter = Some(filter.into_proto());
        let request = Request::new(v1::WatchOrdersRequest {
            filter,
            resume_token: resume.clone(),
            changes_only,
        });
        let updates = session.client.watch_orders(request).await;
        let updates = updates.map_err(|status| broken(&status, &resume))?.into_inner();
        follow(&session.out, updates, resume).await
    }
}

/// Shows every message until a signal (which is success) or until the stream breaks off.
async fn follow<M: Resumable>(
    out: &Out,
    mut updates: Streaming<M>,
    mut token: String,
) -> Result<(), ClientError> {
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    loop {
        let update = tokio::select! {
            _ = interrupt.recv() => break,
            _ = terminate.recv() => break,
            update = updates.message() => update.map_err(|status| broken(&status, &token))?,
        };
        let Some(update) = update else {
            let ended = "the server ended the stream".to_owned();
            let refused = Refused::plain("UNAVAILABLE", Kind::Unavailable, ended);
            return Err(ClientError::Refused(refused.with_resume_token(&token)));
        };
        out.show(&update, Resumable::for_people)?;
        update.resume_token().clone_into(&mut token);
    }
    if matches!(out, Out::Human) && !token.is_empty() {
        writeln!(io::stderr(), "go on with --resume {token}")?;
    }
    Ok(())
}

/// Why it broke off, and where to go on.
fn broken(status: &Status, token: &str) -> ClientError {
    let refused = Refused::from(status);
    ClientError::Refused(match refused.kind() {
        Kind::Unavailable => refused.with_resume_token(token),
        Kind::Other | Kind::Usage | Kind::NotFound | Kind::Refused | Kind::Invalid => refused,
    })
}
