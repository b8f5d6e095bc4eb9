// Package diff sends the same requests to kube-apiserver and to Gatehouse and says where the answers differ.
//
// Requests come from three sources: scenarios written by hand, objects generated from the schemas that kube-apiserver
// serves, and requests recorded from kubectl. An answer is compared after what must differ between two servers (uids,
// revisions, the present time, addresses) is replaced by a placeholder. What is left is either equal, or a difference that
// docs/divergences.md accepts by its id, or a fault.
//
// The package writes into the servers it is given, in namespaces with fresh names and mostly as dry runs. It is for test
// servers only.
package diff
