//! Every message is the contract's own, letter for letter; only the names of placeholders may differ.

use std::collections::BTreeMap;

use reelhouse_api::Fault;

#[test]
fn messages_are_the_contracts() {
    let contract: BTreeMap<String, Vec<String>> =
        serde_json::from_str(include_str!("messages.json")).unwrap();
    let between =
        |message: &str| -> Vec<String> { message.split(['{', '}']).step_by(2).map(str::to_owned).collect() };
    for (code, templates) in contract {
        for template in templates {
            let said = |fault: &&reelhouse_api::FaultDoc| {
                fault.code == code && between(fault.message) == between(&template)
            };
            assert!(Fault::ALL.iter().any(|fault| said(&fault)), "{code}: {template}");
        }
    }
}
