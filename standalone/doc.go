// Package standalone does for a server without a kube-controller-manager what users of kubectl cannot do without: namespaces get
// their service account and the certificates of the server, deleted namespaces lose their content, objects whose owners are gone are
// collected, and volumes, claims and volume attributes classes that nothing uses can be deleted. Deployments, Jobs and all that makes
// objects of other objects are left to the real controllers.
//
// [Loops] act in one server of several, elected by a Lease, and in none while a kube-controller-manager holds its own. The Leases keep work
// from being done twice; they are not what makes it safe. Every write is bound to the uid, and where it depends on the object's state
// to the resourceVersion, of what it was decided on, so that two that act at once do what one would have done.
//
// What exists is known from the caches of the server, brought up to the present before each decision. Of the objects only the
// metadata is parsed; the graph of owners takes a few hundred bytes for each.
//
// Where it is not certain that an owner is gone, what it owns stays: an owner of a kind that is not served, one that cannot be
// decoded, one that exists under another name than the reference says.
package standalone
