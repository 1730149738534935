//! Access control lists: what stands in them, new entries, and entries taken out.

use std::fmt;

use kafka_protocol::messages::create_acls_request::AclCreation;
use kafka_protocol::messages::delete_acls_request::DeleteAclsFilter;
use kafka_protocol::messages::{CreateAclsRequest, DeleteAclsRequest, DescribeAclsRequest};

use super::admin::Refusal;
use super::calls::text;
use super::{Client, Operation, SessionFault};
use crate::io::World;
use crate::model::TopicName;
use crate::protocol::ErrorCode;

/// `ResourceType.TOPIC`.
const TOPIC: i8 = 2;
/// `PatternType.LITERAL`: the name itself.
const LITERAL: i8 = 3;
/// Every host.
const EVERYWHERE: &str = "*";

/// Whether an entry gives a right or takes it (`AclPermissionType`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Permission {
    /// It takes it, whatever other entries give.
    Deny = 2,
    /// It gives it.
    Allow = 3,
}

impl Permission {
    fn of(code: i8) -> Option<Permission> {
        match code {
            2 => Some(Permission::Deny),
            3 => Some(Permission::Allow),
            _ => None,
        }
    }
}

/// An entry of one topic's list that counts for every host.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct TopicEntry {
    /// The topic.
    pub topic: TopicName,
    /// Whom it is about, as `User:name`.
    pub principal: String,
    /// What they may do or not.
    pub operation: Operation,
    /// Which of both.
    pub permission: Permission,
}

impl fmt::Display for TopicEntry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let TopicEntry {
            topic,
            principal,
            operation,
            permission,
        } = self;
        let permission = match permission {
            Permission::Deny => "DENY",
            Permission::Allow => "ALLOW",
        };
        let operation = operation.name();
        write!(f, "{permission} {operation} to {principal} on {topic}")
    }
}

impl<W: World> Client<W> {
    /// The entries of all topics' lists that give or take one right, name a topic itself and count
    /// for every host. `None` where the cluster has no authorizer.
    ///
    /// # Errors
    /// No answer that can be used, or it is not allowed.
    pub async fn topic_entries(
        &mut self,
        operation: Operation,
        permission: Permission,
    ) -> Result<Option<Vec<TopicEntry>>, SessionFault> {
        let request = DescribeAclsRequest::default()
            .with_resource_type_filter(TOPIC)
            .with_resource_name_filter(None)
            .with_pattern_type_filter(LITERAL)
            .with_principal_filter(None)
            .with_host_filter(Some(text(EVERYWHERE)))
            .with_operation(operation as i8)
            .with_permission_type(permission as i8);
        let answer = self.call(&request).await?;
        if ErrorCode(answer.error_code) == ErrorCode::SECURITY_DISABLED {
            return Ok(None);
        }
        self.refused::<DescribeAclsRequest>(answer.error_code)?;
        let entries = answer.resources.iter().flat_map(|list| {
            list.acls.iter().filter_map(|acl| {
                Some(TopicEntry {
                    topic: TopicName::new(&list.resource_name)?,
                    principal: acl.principal.to_string(),
                    operation: Operation::of(acl.operation)?,
                    permission: Permission::of(acl.permission_type)?,
                })
            })
        });
        Ok(Some(entries.collect()))
    }

    /// Adds entries; one that is there already stays as it is. Tells for each in its order why it
    /// was not added.
    ///
    /// # Errors
    /// No answer that can be used.
    pub async fn add_entries(
        &mut self,
        entries: &[TopicEntry],
    ) -> Result<Vec<Option<Refusal>>, SessionFault> {
        if entries.is_empty() {
            return Ok(Vec::new());
        }
        let creations = entries.iter().map(|entry| {
            AclCreation::default()
                .with_resource_type(TOPIC)
                .with_resource_name(text(entry.topic.as_str()))
                .with_resource_pattern_type(LITERAL)
                .with_principal(text(&entry.principal))
                .with_host(text(EVERYWHERE))
                .with_operation(entry.operation as i8)
                .with_permission_type(entry.permission as i8)
        });
        let request = CreateAclsRequest::default().with_creations(creations.collect());
        let answer = self.call(&request).await?;
        let mut told = answer.results.iter();
        let one = |_: &TopicEntry| match told.next() {
            Some(reply) => Refusal::of(reply.error_code, reply.error_message.as_ref()),
            None => Some(Refusal::silence()),
        };
        Ok(entries.iter().map(one).collect())
    }

    /// Takes entries out; one that is not there is no refusal. Tells for each in its order why it
    /// still stands.
    ///
    /// # Errors
    /// No answer that can be used.
    pub async fn remove_entries(
        &mut self,
        entries: &[TopicEntry],
    ) -> Result<Vec<Option<Refusal>>, SessionFault> {
        if entries.is_empty() {
            return Ok(Vec::new());
        }
        let filters = entries.iter().map(|entry| {
            DeleteAclsFilter::default()
                .with_resource_type_filter(TOPIC)
                .with_resource_name_filter(Some(text(entry.topic.as_str())))
                .with_pattern_type_filter(LITERAL)
                .with_principal_filter(Some(text(&entry.principal)))
                .with_host_filter(Some(text(EVERYWHERE)))
                .with_operation(entry.operation as i8)
                .with_permission_type(entry.permission as i8)
        });
        let request = DeleteAclsRequest::default().with_filters(filters.collect());
        let answer = self.call(&request).await?;
        let mut told = answer.filter_results.iter();
        let one = |_: &TopicEntry| {
            let Some(reply) = told.next() else {
                return Some(Refusal::silence());
            };
            let whole = Refusal::of(reply.error_code, reply.error_message.as_ref());
            whole.or_else(|| {
                let mut matching = reply.matching_acls.iter();
                matching.find_map(|one| Refusal::of(one.error_code, one.error_message.as_ref()))
            })
        };
        Ok(entries.iter().map(one).collect())
    }
}
