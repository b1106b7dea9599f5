//! A state change and its templates make a mail.

use codec::StateChange;
use events::{Language, Line, Locale, MinorUnits, Order};
use minijinja::{Environment, Error, UndefinedBehavior, Value, context, syntax::SyntaxConfig};
use ports::Mail;

use crate::{
    money,
    notice::{delivery_key, message_id_of, template_name},
    templates,
};

/// Why a mail can't be written.
#[derive(Debug, thiserror::Error)]
pub enum RenderError {
    /// No mail is written about such a change.
    #[error("no mail is written about this state change")]
    NoMail,
    /// A template does not fit the data: a bug.
    #[error("a template can't be filled in")]
    Template(#[from] Error),
}

/// Writes mails; holds every template, compiled. HTML parts are escaped, text parts are as they are.
#[derive(Debug)]
pub struct Renderer(Environment<'static>);

impl Renderer {
    /// Compiles the templates that are built in.
    #[must_use]
    pub fn new() -> Self {
        let mut environment = Environment::new();
        // A tag on a line of its own leaves no empty line behind.
        let mut syntax = SyntaxConfig::builder();
        syntax.trim_blocks(true).lstrip_blocks(true);
        if let Ok(syntax) = syntax.build() {
            environment.set_syntax(syntax);
        }
        environment.set_undefined_behavior(UndefinedBehavior::Strict);
        for (name, source) in templates::FILES {
            // A broken template fails the mails that need it, and the tests, which render every one.
            if let Err(error) = environment.add_template(name, source) {
                tracing::error!(%error, name, "a built-in template is broken");
            }
        }
        Self(environment)
    }

    /// The mail about a change, in the customer's language.
    ///
    /// # Errors
    /// [`RenderError`]; trying again changes nothing.
    pub fn mail(&self, change: &StateChange) -> Result<Mail, RenderError> {
        let key = delivery_key(change).ok_or(RenderError::NoMail)?;
        let order = &change.order;
        let customer = &order.details.customer;
        let language = customer.locale.as_ref().map_or(Language::English, Locale::language);
        let folder = match language {
            Language::English => "en",
            Language::Spanish => "es",
        };
        let template = template_name(order.state);
        let data = data(order, language);
        let render = |part: &str| {
            self.0.get_template(&format!("{folder}/{template}.{part}.jinja"))?.render(&data)
        };
        let text = render("txt")?;
        let (subject, text) = text.split_once('\n').unwrap_or((&text, ""));
        Ok(Mail {
            message_id: message_id_of(&key),
            to: customer.email.clone(),
            to_name: customer.name.as_ref().map(|name| one_line(name.as_str())),
            subject: one_line(subject),
            text: text.trim_start().to_owned(),
            html: render("html")?,
        })
    }
}

impl Default for Renderer {
    fn default() -> Self {
        Self::new()
    }
}

/// What templates can name. What the order does not have is none, which is false.
fn data(order: &Order, language: Language) -> Value {
    let details = &order.details;
    let money = |amount| money::format(amount, details.currency(), language);
    let some_money = |amount: MinorUnits| (amount != MinorUnits::ZERO).then(|| money(amount));
    let line = |line: &Line| {
        // The order's total is known to fit, so each line's does.
        let amount = line.unit_price.checked_times(line.quantity.get()).unwrap_or_default();
        context! {
            quantity => line.quantity.get(),
            name => one_line(line.name.as_str()),
            amount => money(amount),
        }
    };
    context! {
        order_id => order.id.to_string(),
        number => number(order),
        name => details.customer.name.as_ref().map(|name| one_line(name.as_str())),
        lines => details.lines().iter().map(line).collect::<Value>(),
        total => money(details.total()),
        captured => money(order.captured),
        to_capture => money(order.to_capture()),
        refunded => money(order.refunded),
        to_refund => some_money(order.to_refund()),
        address => details.shipping_address.as_str().lines().map(one_line).collect::<Value>(),
        carrier => order.parcel.as_ref().map(|parcel| one_line(parcel.carrier.as_str())),
        tracking_number =>
            order.parcel.as_ref().map(|parcel| one_line(parcel.tracking_number.as_str())),
        reason => order.cancel_reason.as_ref().map(|reason| one_line(reason.as_str())),
    }
}

/// What a person can say on the phone: the id's last eight digits. The first ones tell the time in ids that sort by it.
fn number(order: &Order) -> String {
    let id = order.id.as_uuid().simple().to_string();
    id.get(24..).unwrap_or_default().to_uppercase()
}

/// Free text must not break out of its line: out of a header, above all.
fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}
