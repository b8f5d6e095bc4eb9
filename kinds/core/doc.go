// Package core holds the rules of pods and of everything that is nested in other kinds: pod templates, volumes, resource lists, node
// selectors and label selectors. Each is a table of package rules, compiled when it is first asked for.
package core
