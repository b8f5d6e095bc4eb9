package api

import "strings"

// What tells a node (its kubelet) from other users.
const (
	// GroupNodes is held by every node.
	GroupNodes = "system:nodes"
	// NodePrefix begins the user name of a node: system:node:NAME.
	NodePrefix = "system:node:"
)

// Node returns the name of the node that the user is. It is one only with both the user name and the group of nodes; the name may be
// empty, and then nobody knows which node it is and it may do nothing as one.
func (u User) Node() (name string, ok bool) {
	name, ok = strings.CutPrefix(u.Name, NodePrefix)
	if !ok || !u.InGroup(GroupNodes) {
		return "", false
	}
	return name, true
}
