//! The From field: never a domain that is not there in plain sight.
#![no_main]

use libfuzzer_sys::fuzz_target;
use zegel::{
    dkim::{AuthorRefusal, author_domain},
    names::DomainName,
};
use zegel_fuzz::from;

fuzz_target!(|value: &[u8]| {
    let one = || std::iter::once(value);
    let Ok(domain) = author_domain(one()) else {
        return;
    };
    assert_eq!(
        from::domain(value),
        Some(domain.clone()),
        "{}",
        value.escape_ascii()
    );
    assert_eq!(domain.as_str().parse::<DomainName>().as_ref(), Ok(&domain));
    let two = one().chain(one());
    assert_eq!(author_domain(two), Err(AuthorRefusal::Repeated));
});
