// Package extension holds the rules of the kinds by which others add to the API: admission webhooks and admission policies, custom resource
// definitions and API services. CEL expressions are checked for being there and not for being CEL, as nothing here evaluates them.
package extension
