// Package cluster holds the rules of kinds that a cluster is run with: nodes, namespaces, accounts, secrets and configuration, limits
// and quotas, events, certificates, access control, priorities and leases.
package cluster
