//! `OrderService`, the contract of the system that came before: one article, a float price, a status in Spanish.
//!
//! Its fields become an order of one line, quantity 1, with the start of the article's name as its SKU. `card_brand`
//! and `bank` may be empty; every other text must not be. It has no request id: a repeated call is another order.

use std::{num::NonZeroU32, sync::Arc};

use codec::Violations;
use events::{Customer, Email, Labels, Line, OrderDetails, Payment, Text};
use proto::seed::{self, order_service_server::OrderService};
use tonic::{Request, Response, Status};

use crate::{denial::Denial, price::minor_units, service::Edge};

/// What that system called an order that was accepted.
const STATUS: &str = "Procesando";

/// Serves the older contract.
pub(crate) struct SeedService(pub(crate) Arc<Edge>);

#[tonic::async_trait]
impl OrderService for SeedService {
    async fn place_order(
        &self,
        request: Request<seed::OrderRequest>,
    ) -> Result<Response<seed::OrderResponse>, Status> {
        let edge = &self.0;
        let (metadata, _, message) = request.into_parts();
        let placing = edge.measures.placing(None);
        let placed = edge
            .calls
            .run("OrderService/PlaceOrder", &metadata, |context| async move {
                let details = parse(&message, edge.seed_currency)?;
                let placed = edge.placer.place(edge.placer.unnamed(details), context).await?;
                Ok(seed::OrderResponse { status: STATUS.to_owned(), order_id: placed.order_id })
            })
            .await;
        placing.ends(&placed);
        placed
    }
}

fn parse(request: &seed::OrderRequest, currency: events::Currency) -> Result<OrderDetails, Denial> {
    let mut faults = Violations::default();
    let name = faults.check("product_name", Text::new(&request.product_name));
    let price = faults.check("price", minor_units(request.price, currency));
    let gateway = faults.check("payment_gateway", Text::new(&request.payment_gateway));
    let card_brand = faults.check("card_brand", Text::optional(&request.card_brand));
    let bank = faults.check("bank", Text::optional(&request.bank));
    let address = faults.check("shipping_address", Text::new(&request.shipping_address));
    let region = faults.check("region", Text::new(&request.region));
    let email = faults.check("email", Email::new(&request.email));
    let sku: String = request.product_name.trim_start().chars().take(64).collect();
    let details = (|| {
        let line = Line {
            sku: Text::new(&sku).ok()?,
            name: name?,
            quantity: NonZeroU32::MIN,
            unit_price: price?,
        };
        let customer = Customer { email: email?, name: None, locale: None };
        let payment = Payment { gateway: gateway?, card_brand: card_brand?, bank: bank? };
        OrderDetails::new(currency, vec![line], customer, address?, region?, payment, Labels::new())
            .ok()
    })();
    details.ok_or(Denial::Invalid(faults))
}
