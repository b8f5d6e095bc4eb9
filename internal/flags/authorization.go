package flags

import (
	"slices"
	"strings"
)

// The authorization modes that are implemented.
const (
	// Node lets nodes read what their pods use.
	Node = "Node"
	// RBAC asks roles and bindings.
	RBAC = "RBAC"
	// AlwaysAllow lets every authenticated user do everything. The hardened profile refuses it.
	AlwaysAllow = "AlwaysAllow"
	// AlwaysDeny allows nothing.
	AlwaysDeny = "AlwaysDeny"
)

func authorizationModes() []string { return []string{Node, RBAC, AlwaysAllow, AlwaysDeny} }

func (o *Options) allowsAlways() bool { return slices.Contains(o.AuthorizationModes, AlwaysAllow) }

func (o *Options) validateModes(f *faults) {
	const flag = "authorization-mode"
	known := strings.Join(authorizationModes(), ", ")
	if len(o.AuthorizationModes) == 0 {
		f.add(flag, ": one of %s is required", known)
	}
	for i, mode := range o.AuthorizationModes {
		switch {
		case slices.Contains(o.AuthorizationModes[:i], mode):
			f.add(flag, "=%s: given twice", mode)
		case mode == "ABAC":
			f.add(flag, "=ABAC: not implemented, its policy file changes only with a restart and cannot be reviewed by the API: use RBAC")
		case mode == "Webhook":
			f.add(flag, "=%s: not implemented yet, there are %s", mode, known)
		case !slices.Contains(authorizationModes(), mode):
			f.add(flag, "=%s: no such mode, there are %s", mode, known)
		}
	}
}
