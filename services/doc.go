// Package services gives Services what must be unique in the cluster: cluster IPs and node ports.
//
// A cluster IP is taken by creating the IPAddress object that is named after it, which etcd lets one writer do. Node ports are the bits
// of one value in etcd, changed by compare-and-swap. So any number of servers share both without talking to one another, and a server
// that knows less than etcd does, because its caches are behind, loses a race and tries again, but never takes what is taken.
//
// It is better to lose an address for a while than to give it to two: what a write needs is taken before the write, what it no
// longer needs is returned after it, and where the outcome of a write is unknown nothing is returned. What is lost by that, or by
// a crash in between, the repair passes find.
//
// Taking an address looks at no list. It starts at a random address and walks on until one is free: at a load of a (0 to 1) that is about
// (1+1/(1-a)²)/2 looks into the cache, at most one per address of the range, and normally one write. A change of node ports is one write
// for all ports of a Service and looks at no more bits than the range has.
//
// The package knows objects and values, not where they are kept: [Addresses], [Objects] and [Cell] are its way to them.
package services
