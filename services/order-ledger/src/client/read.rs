//! The verbs that read: one order, its history, lists and searches.

use std::{
    io::{self, Write as _},
    mem,
};

use proto::v1::{self, get_order_request::At};

use crate::{
    cli::{FilterArgs, GetArgs, PageArgs, SearchArgs},
    client::{
        ClientError, Session,
        out::Out,
        refused,
        sheet::{Pages, Sheet},
    },
    table,
};

pub(crate) async fn get(session: &mut Session, args: GetArgs) -> Result<(), ClientError> {
    let at = args
        .version
        .map(At::Version)
        .or_else(|| args.time.map(|time| At::Time(codec::encode_instant(time))))
        .or_else(|| args.position.map(At::Position));
    let request =
        v1::GetOrderRequest { order_id: args.order_id, not_before: args.fresh.not_before, at };
    let request = session.within(request);
    let answer = session.client.get_order(request).await.map_err(refused)?.into_inner();
    session.out.show(&answer, |answer| {
        answer.order.as_ref().map_or_else(String::new, |order| table::order(order).to_string())
    })
}

pub(crate) async fn list(
    session: &mut Session,
    filter: FilterArgs,
    page: PageArgs,
) -> Result<(), ClientError> {
    let filter = filter.into_proto();
    let mut pages = Pages::new(&page);
    let mut sheet = Sheet::new(&session.out, "orders", table::orders);
    loop {
        let (page_size, page_token) = pages.next();
        let request = session.within(v1::ListOrdersRequest {
            filter: Some(filter.clone()),
            page_size,
            page_token,
            not_before: page.fresh.not_before,
        });
        let mut answer = session.client.list_orders(request).await.map_err(refused)?.into_inner();
        let orders = mem::take(&mut answer.orders);
        sheet.page(&orders)?;
        if !pages.go_on(orders.len(), &answer.next_page_token) {
            return sheet.end(&answer, &answer.next_page_token);
        }
    }
}

pub(crate) async fn history(
    session: &mut Session,
    order_id: String,
    page: PageArgs,
) -> Result<(), ClientError> {
    let mut pages = Pages::new(&page);
    let mut sheet = Sheet::new(&session.out, "entries", table::history);
    loop {
        let (page_size, page_token) = pages.next();
        let request = session.within(v1::GetOrderHistoryRequest {
            order_id: order_id.clone(),
            not_before: page.fresh.not_before,
            page_size,
            page_token,
        });
        let answer = session.client.get_order_history(request).await;
        let mut answer = answer.map_err(refused)?.into_inner();
        let entries = mem::take(&mut answer.entries);
        sheet.page(&entries)?;
        if !pages.go_on(entries.len(), &answer.next_page_token) {
            return sheet.end(&answer, &answer.next_page_token);
        }
    }
}

pub(crate) async fn search(session: &mut Session, args: SearchArgs) -> Result<(), ClientError> {
    let SearchArgs { words, filter, payment_gateway, page } = args;
    let (text, filter) = (words.join(" "), filter.into_proto());
    let mut pages = Pages::new(&page);
    let mut sheet = Sheet::new(&session.out, "orders", table::summaries);
    loop {
        let (page_size, page_token) = pages.next();
        let request = session.within(v1::SearchOrdersRequest {
            text: text.clone(),
            filter: Some(filter.clone()),
            payment_gateway: payment_gateway.clone(),
            page_size,
            page_token,
            not_before: page.fresh.not_before,
        });
        let mut answer = session.client.search_orders(request).await.map_err(refused)?.into_inner();
        let orders = mem::take(&mut answer.orders);
        sheet.page(&orders)?;
        if !pages.go_on(orders.len(), &answer.next_page_token) {
            if matches!(session.out, Out::Human) {
                writeln!(io::stdout(), "{}", table::totals(&answer))?;
            }
            return sheet.end(&answer, &answer.next_page_token);
        }
    }
}
