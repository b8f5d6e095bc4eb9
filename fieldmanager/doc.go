// Package fieldmanager records who owns which field of an object (metadata.managedFields), and applies configurations: the
// server-side apply of the Kubernetes API.
//
// [Manager.Update] is called for everything that writes an object other than an apply; it changes nothing but the record.
// [Manager.Apply] merges a configuration into an object. Ownership is decided as kube-apiserver does, by the library that
// it uses (k8s.io/apimachinery/pkg/util/managedfields over structured-merge-diff), with a shorter way to the same result for
// ordinary updates; see compare.go.
//
// What a list or a map is merged by comes from a schema file that is generated from the API types (make generate) and read at
// the first write. The package knows nothing about requests, permission or storage.
package fieldmanager
