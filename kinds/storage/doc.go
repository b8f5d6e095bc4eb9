// Package storage holds the rules of volumes, claims and what describes storage (storage.k8s.io), and of devices and the claims on them
// (resource.k8s.io). Each kind is a table of package rules, made by a function of the kind's name.
package storage
