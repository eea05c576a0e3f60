//! What an identity comes to in TLS, and how it is replaced under a transport that runs.

use std::sync::{Arc, Weak};

use quinn::{ClientConfig, ServerConfig};

use crate::shared::Shared;
use crate::tls;
use crate::{BindError, Identity, QuicConfig, RenewError};

/// Settings for new connections.
#[derive(Clone, Debug)]
pub(crate) struct Credentials {
    pub(crate) server: ServerConfig,
    /// For dialling a node by its name.
    pub(crate) client: ClientConfig,
    /// For dialling whichever node of the cluster is at an address.
    pub(crate) seed_client: ClientConfig,
}

impl Credentials {
    pub(crate) fn of(identity: &Identity, config: &QuicConfig) -> Result<Self, BindError> {
        let limits = config.quinn()?;
        let mut server = ServerConfig::with_crypto(tls::server(identity)?);
        server.transport_config(Arc::clone(&limits));
        config.limit_server(&mut server);
        let mut client = ClientConfig::new(tls::client(identity)?);
        client.transport_config(Arc::clone(&limits));
        let mut seed_client = ClientConfig::new(tls::seed_client(identity)?);
        seed_client.transport_config(limits);
        Ok(Self {
            server,
            client,
            seed_client,
        })
    }
}

/// Replaces the certificate of a transport that runs, before it expires; see
/// [`QuicTransport::renewal`](crate::QuicTransport::renewal).
#[derive(Clone, Debug)]
pub struct Renewal(Weak<Shared>);

impl Renewal {
    pub(crate) fn of(shared: &Arc<Shared>) -> Self {
        Self(Arc::downgrade(shared))
    }

    /// From now on new connections, in both directions, are made with this identity. Those that there are go on.
    /// It has to be of the same node and cluster; its authority may be another one. Of a transport that has ended
    /// there is nothing to renew.
    ///
    /// # Errors
    ///
    /// [`RenewError`]; nothing was replaced then.
    pub fn renew(&self, identity: &Identity) -> Result<(), RenewError> {
        let Some(shared) = self.0.upgrade() else {
            return Ok(());
        };
        let (node, cluster) = (&shared.name.node, &shared.name.cluster);
        if (identity.node(), identity.cluster()) != (node, cluster) {
            return Err(RenewError::Another {
                own: format!("{node} of {cluster}"),
                given: format!("{} of {}", identity.node(), identity.cluster()),
            });
        }
        let address = shared.local;
        if identity.loopback_only() && !address.ip().is_loopback() {
            return Err(BindError::DevBeyondLoopback { address }.into());
        }
        let credentials = Credentials::of(identity, &shared.config)?;
        let server = credentials.server.clone();
        shared.endpoint.set_server_config(Some(server));
        shared.set_credentials(credentials);
        tracing::info!(%node, %cluster, "identity renewed");
        Ok(())
    }
}
