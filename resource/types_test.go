package resource_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/encoding/protowire"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/yaml"

	"github.com/gatehouse/gatehouse/resource"
	"github.com/gatehouse/gatehouse/store"
)

// minimal is what an object of a kind needs besides a name, as JSON fields. FIRST and REST are the name before and after its first dot.
var minimal = map[string]string{
	"ClusterRoleBinding":               `,"roleRef":{"apiGroup":"rbac.authorization.k8s.io","kind":"ClusterRole","name":"r"}`,
	"RoleBinding":                      `,"roleRef":{"apiGroup":"rbac.authorization.k8s.io","kind":"Role","name":"r"}`,
	"Pod":                              `,"spec":{"containers":[{"name":"c","image":"i"}]}`,
	"Secret":                           `,"stringData":{"a":"b"}`,
	"FlowSchema":                       `,"spec":{"priorityLevelConfiguration":{"name":"p"}}`,
	"PriorityLevelConfiguration":       `,"spec":{"type":"Limited","limited":{"limitResponse":{"type":"Reject"}}}`,
	"events.k8s.io/Event":              `,"eventTime":"2026-01-01T00:00:00.000000Z","type":"Normal","reason":"r","action":"a","reportingController":"c","reportingInstance":"i"`,
	"ConfigMap":                        `,"data":{"a":"<b>&c"}`,
	"Deployment":                       `,"spec":{"replicas":2,"selector":{"matchLabels":{"a":"b"}},"template":{"metadata":{"labels":{"a":"b"}},"spec":{"containers":[{"name":"c","image":"i"}]}}}`,
	"ReplicaSet":                       `,"spec":{"selector":{"matchLabels":{"a":"b"}},"template":{"metadata":{"labels":{"a":"b"}},"spec":{"containers":[{"name":"c","image":"i"}]}}}`,
	"DaemonSet":                        `,"spec":{"selector":{"matchLabels":{"a":"b"}},"template":{"metadata":{"labels":{"a":"b"}},"spec":{"containers":[{"name":"c","image":"i"}]}}}`,
	"StatefulSet":                      `,"spec":{"selector":{"matchLabels":{"a":"b"}},"template":{"metadata":{"labels":{"a":"b"}},"spec":{"containers":[{"name":"c","image":"i"}]}}}`,
	"ReplicationController":            `,"spec":{"template":{"metadata":{"labels":{"a":"b"}},"spec":{"containers":[{"name":"c","image":"i"}]}}}`,
	"PodTemplate":                      `,"template":{"metadata":{"labels":{"a":"b"}},"spec":{"containers":[{"name":"c","image":"i"}]}}`,
	"ControllerRevision":               `,"data":{"a":"b"}`,
	"Job":                              `,"spec":{"template":{"spec":{"restartPolicy":"Never","containers":[{"name":"c","image":"i"}]}}}`,
	"CronJob":                          `,"spec":{"schedule":"@daily","jobTemplate":{"spec":{"template":{"spec":{"restartPolicy":"Never","containers":[{"name":"c","image":"i"}]}}}}}`,
	"HorizontalPodAutoscaler":          `,"spec":{"maxReplicas":2,"scaleTargetRef":{"apiVersion":"apps/v1","kind":"Deployment","name":"d"}}`,
	"Service":                          `,"spec":{"ports":[{"port":80}]}`,
	"Ingress":                          `,"spec":{"defaultBackend":{"service":{"name":"s","port":{"number":80}}}}`,
	"IngressClass":                     `,"spec":{"controller":"example.com/c"}`,
	"ServiceCIDR":                      `,"spec":{"cidrs":["192.0.2.0/28"]}`,
	"EndpointSlice":                    `,"addressType":"IPv4","endpoints":[]`,
	"ValidatingAdmissionPolicy":        `,"spec":{"failurePolicy":"Fail","matchConstraints":{"resourceRules":[{"operations":["CREATE"],"apiGroups":[""],"apiVersions":["v1"],"resources":["pods"]}]},"validations":[{"expression":"true"}]}`,
	"MutatingAdmissionPolicy":          `,"spec":{"failurePolicy":"Fail","reinvocationPolicy":"Never","matchConstraints":{"resourceRules":[{"operations":["CREATE"],"apiGroups":[""],"apiVersions":["v1"],"resources":["pods"]}]},"mutations":[{"patchType":"JSONPatch","jsonPatch":{"expression":"[JSONPatch{op: \"remove\", path: \"/metadata/labels/x\"}]"}}]}`,
	"ValidatingAdmissionPolicyBinding": `,"spec":{"policyName":"p","validationActions":["Deny"]}`,
	"MutatingAdmissionPolicyBinding":   `,"spec":{"policyName":"p"}`,
	"PersistentVolumeClaim":            `,"spec":{"accessModes":["ReadWriteOnce"],"resources":{"requests":{"storage":"1Gi"}}}`,
	"PersistentVolume":                 `,"spec":{"accessModes":["ReadWriteOnce"],"capacity":{"storage":"1Gi"},"nfs":{"server":"s","path":"/p"}}`,
	"StorageClass":                     `,"provisioner":"example.com/p"`,
	"VolumeAttachment":                 `,"spec":{"attacher":"example.com","nodeName":"n","source":{"persistentVolumeName":"v"}}`,
	"VolumeAttributesClass":            `,"driverName":"example.com","parameters":{"a":"b"}`,
	"CSIStorageCapacity":               `,"storageClassName":"c"`,
	"RuntimeClass":                     `,"handler":"h"`,
	"ResourceSlice":                    `,"spec":{"driver":"example.com","nodeName":"n","pool":{"name":"p","resourceSliceCount":1}}`,
	"IPAddress":                        `,"spec":{"parentRef":{"resource":"services","namespace":"default","name":"s"}}`,
	"APIService":                       `,"spec":{"version":"FIRST","group":"REST","groupPriorityMinimum":1,"versionPriority":1}`,
	"CustomResourceDefinition":         `,"spec":{"group":"REST","scope":"Namespaced","names":{"plural":"FIRST","kind":"Thing"},"versions":[{"name":"v1","served":true,"storage":true,"schema":{"openAPIV3Schema":{"type":"object"}}}]}`,
	"CertificateSigningRequest":        `,"spec":{"signerName":"example.com/s","usages":["client auth"],"request":"` + keyRequest + `"}`,
}

// keyRequest asks for a certificate for an Ed25519 key that nobody has kept.
const keyRequest = "LS0tLS1CRUdJTiBDRVJUSUZJQ0FURSBSRVFVRVNULS0tLS0KTUg4d013SUJBREFBTUNvd0JRWURLMlZ3QXlFQXgvb0R0UnIyR2VBczZlMkorYnVjLzZSY3BX" +
	"ZkF5SVFJNG9NRQpjU256dkF1Z0FEQUZCZ01yWlhBRFFRRDZzQlN2UVYvdnY3aUtsb1pNby9Vb2JXTGZvRjc5Y2xzSFJnY2NUV29jCkRJTWFSQWg4ZnpMVE9O" +
	"U1pQbHJ1ekRuendhZ2cyYSs4d1VIbXBJeSt4clVNCi0tLS0tRU5EIENFUlRJRklDQVRFIFJFUVVFU1QtLS0tLQo="

// nameFor is a name that goes with the rules of the type. The names sort as what they are made of, which is one of x-json, x-proto,
// x-yaml and s.
func nameFor(t *resource.Type, name string) string {
	switch t.Resource {
	case "ipaddresses":
		return map[string]string{"x-json": "192.0.2.1", "x-proto": "192.0.2.2", "x-yaml": "192.0.2.3", "s": "192.0.2.4"}[name]
	case "apiservices", "customresourcedefinitions":
		return name + ".example.com"
	}
	return name
}

// collection is the path of a type's objects, in the namespace default if they have one.
func collection(t *resource.Type) string {
	base := "/api/v1"
	if t.Group != "" {
		base = "/apis/" + t.GroupVersion()
	}
	if t.Namespaced {
		base += "/namespaces/default"
	}
	return base + "/" + t.Resource
}

func objectPath(t *resource.Type, name string) string {
	if t.Resource == "namespaces" {
		return "/api/v1/namespaces/" + name
	}
	return collection(t) + "/" + name
}

func body(t *resource.Type, name string) string {
	fields, ok := minimal[t.Group+"/"+t.Kind]
	if !ok {
		fields = minimal[t.Kind]
	}
	first, rest, _ := strings.Cut(name, ".")
	fields = strings.NewReplacer("FIRST", first, "REST", rest).Replace(fields)
	return fmt.Sprintf(`{"apiVersion":%q,"kind":%q,"metadata":{"name":%q,"labels":{"made":"here"},"annotations":{"resourceVersion":"\"resourceVersion\":\"7\""}}%s}`,
		t.GroupVersion(), t.Kind, name, fields)
}

// TestEveryType takes an object of every stored type through the verbs, in every encoding.
func TestEveryType(t *testing.T) {
	c := start(t)
	for _, ty := range c.table.Types() {
		if !ty.Persisted() {
			continue
		}
		t.Run(ty.Group+"."+ty.Version+"."+ty.Resource, func(t *testing.T) { everyVerb(t, c, ty) })
	}
}

func everyVerb(t *testing.T, c *cluster, ty *resource.Type) {
	create := func(name, contentType string, body []byte) {
		t.Helper()
		r, err := c.do(t, request{verb: "create", path: collection(ty), contentType: contentType, body: string(body)})
		if err != nil {
			t.Fatalf("create from %s: %v", contentType, err)
		}
		if r.Code != 201 || r.Item.Name != name {
			t.Errorf("create answers %d %s", r.Code, r.Item.Name)
		}
		checkItem(t, c, ty, r.Item)
	}
	fromJSON, fromYAML, fromProtobuf := nameFor(ty, "x-json"), nameFor(ty, "x-yaml"), nameFor(ty, "x-proto")
	create(fromJSON, "", []byte(body(ty, fromJSON)))
	asYAML, err := yaml.JSONToYAML([]byte(body(ty, fromYAML)))
	if err != nil {
		t.Fatal(err)
	}
	create(fromYAML, "application/yaml", asYAML)
	create(fromProtobuf, "application/vnd.kubernetes.protobuf", protobufBody(t, ty, body(ty, fromProtobuf)))
	path := objectPath(ty, fromJSON)
	before := c.must(t, "get", path, "")
	if got := at(t, before, "kind"); got != ty.Kind {
		t.Errorf("get answers a %v", got)
	}
	for _, kind := range []string{"application/merge-patch+json", "application/strategic-merge-patch+json"} {
		r, err := c.do(t, request{verb: "patch", path: path, contentType: kind, body: `{"metadata":{"labels":{"patched":"` + kind[12:17] + `"}}}`})
		if err != nil {
			t.Fatalf("%s: %v", kind, err)
		}
		checkItem(t, c, ty, r.Item)
		if at(t, answer(t, r), "metadata.labels.patched") != kind[12:17] {
			t.Errorf("%s left %s", kind, answer(t, r))
		}
	}
	after := c.must(t, "get", path, "")
	for _, kept := range []string{"metadata.uid", "metadata.creationTimestamp", "metadata.generation", "spec", "status"} {
		if kept == "metadata.generation" && ty.Resource == "endpointslices" {
			continue // Their labels count, since consumers find them by labels.
		}
		if diff := cmp.Diff(at(t, before, kept), at(t, after, kept)); diff != "" {
			t.Errorf("a patch of labels changed %s:\n%s", kept, diff)
		}
	}
	updated := c.must(t, "update", path, after)
	if at(t, updated, "metadata.resourceVersion") != at(t, after, "metadata.resourceVersion") {
		t.Error("an update that changes nothing was stored")
	}
	if _, ok := ty.Subresource("status"); ok {
		if c.must(t, "update", path+"/status", after); at(t, c.must(t, "get", path+"/status", ""), "kind") != ty.Kind {
			t.Error("the status is served as another kind")
		}
	}
	checkList(t, c, ty)
	checkDelete(t, c, ty)
}

// protobufBody encodes a JSON body in the protobuf wire format with the libraries of Kubernetes.
func protobufBody(t testing.TB, ty *resource.Type, text string) []byte {
	t.Helper()
	o := ty.New()
	if err := json.Unmarshal([]byte(text), o); err != nil {
		t.Fatal(err)
	}
	raw, err := o.Marshal()
	if err != nil {
		t.Fatal(err)
	}
	u := runtime.Unknown{TypeMeta: runtime.TypeMeta{APIVersion: ty.GroupVersion(), Kind: ty.Kind}, Raw: raw}
	b, err := u.Marshal()
	if err != nil {
		t.Fatal(err)
	}
	return append([]byte("k8s\x00"), b...)
}

// checkItem compares what is spliced from an item with what the libraries of Kubernetes make of the object.
func checkItem(t *testing.T, c *cluster, ty *resource.Type, i *store.Item) {
	t.Helper()
	got := ty.New()
	if err := json.Unmarshal(ty.AppendObject(nil, i), got); err != nil {
		t.Fatal(err)
	}
	if got.GetObjectKind().GroupVersionKind() != ty.GVK() || got.GetResourceVersion() != fmt.Sprint(i.Revision) {
		t.Errorf("the JSON is a %v at %s, the item a %v at %d", got.GetObjectKind().GroupVersionKind(), got.GetResourceVersion(), ty.GVK(), i.Revision)
	}
	whole, err := json.Marshal(got)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(object(t, whole), object(t, ty.AppendObject(nil, i))); diff != "" {
		t.Errorf("spliced JSON differs from the object's (-object +spliced):\n%s", diff)
	}
	wire, err := ty.AppendProtobuf(nil, i)
	if err != nil {
		t.Fatal(err)
	}
	fromWire := ty.New()
	if err := fromWire.Unmarshal(envelope(t, wire, ty.GroupVersion(), ty.Kind)); err != nil {
		t.Fatal(err)
	}
	fromWire.GetObjectKind().SetGroupVersionKind(ty.GVK())
	sameJSON(t, "protobuf", got, fromWire)
	checkPartial(t, ty, i, got)
	row, err := c.AppendRow(nil, ty, i, resource.TableForm{Include: resource.IncludeWhole}, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	var table metav1.TableRow
	if err := json.Unmarshal(row, &table); err != nil || len(table.Cells) == 0 || table.Cells[0] != any(i.Name) && ty.Kind != "Event" {
		t.Errorf("the row is %s: %v", row, err)
	}
}

func checkPartial(t *testing.T, ty *resource.Type, i *store.Item, o resource.Object) {
	t.Helper()
	var partial, fromWire metav1.PartialObjectMetadata
	if err := json.Unmarshal(ty.AppendPartial(nil, i, resource.MetaV1), &partial); err != nil {
		t.Fatal(err)
	}
	want, err := json.Marshal(o)
	if err != nil {
		t.Fatal(err)
	}
	text, err := json.Marshal(partial)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(at(t, string(want), "metadata"), at(t, string(text), "metadata")); diff != "" {
		t.Errorf("partial metadata differs (-object +partial):\n%s", diff)
	}
	wire, err := ty.AppendPartialProtobuf(nil, i)
	if err != nil {
		t.Fatal(err)
	}
	if err := fromWire.Unmarshal(envelope(t, wire, "meta.k8s.io/v1", "PartialObjectMetadata")); err != nil {
		t.Fatal(err)
	}
	fromWire.TypeMeta = partial.TypeMeta
	sameJSON(t, "partial protobuf", &partial, &fromWire)
}

// object is a JSON document as generic values.
func object(t testing.TB, b []byte) any {
	t.Helper()
	var v any
	if err := json.Unmarshal(b, &v); err != nil {
		t.Fatalf("%v: %s", err, b)
	}
	return v
}

func sameJSON(t testing.TB, what string, want, got any) {
	t.Helper()
	a, errA := json.Marshal(want)
	b, errB := json.Marshal(got)
	if errA != nil || errB != nil {
		t.Fatal(errA, errB)
	}
	if diff := cmp.Diff(object(t, a), object(t, b)); diff != "" {
		t.Errorf("%s differs (-want +got):\n%s", what, diff)
	}
}

// envelope returns the message in a protobuf document and checks what the envelope says.
func envelope(t testing.TB, b []byte, apiVersion, kind string) []byte {
	t.Helper()
	raw, ok := bytes.CutPrefix(b, []byte("k8s\x00"))
	if !ok {
		t.Fatalf("no magic in %q", b[:min(len(b), 10)])
	}
	var u runtime.Unknown
	if err := u.Unmarshal(raw); err != nil {
		t.Fatal(err)
	}
	if u.APIVersion != apiVersion || u.Kind != kind {
		t.Errorf("the envelope says %s %s, not %s %s", u.APIVersion, u.Kind, apiVersion, kind)
	}
	return u.Raw
}

// checkList compares the encodings of a list with its items.
func checkList(t *testing.T, c *cluster, ty *resource.Type) {
	t.Helper()
	l := c.list(t, collection(ty), resource.ListOptions{Labels: selector(t, "made=here")})
	if diff := cmp.Diff([]string{nameFor(ty, "x-json"), nameFor(ty, "x-proto"), nameFor(ty, "x-yaml")}, names(l)); diff != "" {
		t.Fatalf("the list holds (-want +got):\n%s", diff)
	}
	text := chunks(t, l.WriteJSON)
	if at(t, text, "kind") != ty.Kind+"List" {
		t.Errorf("the list is a %v", at(t, text, "kind"))
	}
	items, _ := at(t, text, "items").([]any)
	for n, i := range l.Items {
		whole, _ := object(t, ty.AppendObject(nil, i)).(map[string]any)
		delete(whole, "kind")
		delete(whole, "apiVersion")
		if diff := cmp.Diff(any(whole), items[n]); diff != "" {
			t.Errorf("item %d of the list (-object +item):\n%s", n, diff)
		}
	}
	partial, _ := at(t, chunks(t, func(w *resource.Chunks) error { return l.WritePartial(w, resource.MetaV1) }), "items").([]any)
	rows, _ := at(t, chunks(t, func(w *resource.Chunks) error {
		return c.WriteTable(l, w, resource.TableForm{Version: resource.MetaV1, Include: resource.IncludeNone}, time.Now())
	}), "rows").([]any)
	if len(partial) != len(l.Items) || len(rows) != len(l.Items) {
		t.Errorf("%d items, %d in the partial list, %d rows", len(l.Items), len(partial), len(rows))
	}
	checkProtobufList(t, ty, l)
}

// checkProtobufList decodes the items of a list on the wire one by one.
func checkProtobufList(t *testing.T, ty *resource.Type, l *resource.List) {
	t.Helper()
	raw := envelope(t, []byte(chunks(t, l.WriteProtobuf)), ty.GroupVersion(), ty.Kind+"List")
	var decoded []string
	var meta metav1.ListMeta
	for len(raw) > 0 {
		num, _, n := protowire.ConsumeTag(raw)
		v, m := protowire.ConsumeBytes(raw[max(n, 0):])
		if n < 0 || m < 0 {
			t.Fatal("the list is not a message")
		}
		raw = raw[n+m:]
		if num == 1 {
			if err := meta.Unmarshal(v); err != nil {
				t.Fatal(err)
			}
			continue
		}
		o := ty.New()
		if err := o.Unmarshal(v); err != nil {
			t.Fatal(err)
		}
		decoded = append(decoded, o.GetName()+"@"+o.GetResourceVersion())
	}
	want := []string{}
	for _, i := range l.Items {
		want = append(want, fmt.Sprintf("%s@%d", i.Name, i.Revision))
	}
	if diff := cmp.Diff(want, decoded); diff != "" || meta.ResourceVersion != fmt.Sprint(l.Revision) {
		t.Errorf("the protobuf list at %s holds (-want +got):\n%s", meta.ResourceVersion, diff)
	}
	var partial metav1.PartialObjectMetadataList
	if err := partial.Unmarshal(envelope(t, []byte(chunks(t, l.WritePartialProtobuf)), "meta.k8s.io/v1", "PartialObjectMetadataList")); err != nil {
		t.Fatal(err)
	}
	if len(partial.Items) != len(want) || partial.Items[0].Name != l.Items[0].Name {
		t.Errorf("the partial protobuf list holds %v", partial.Items)
	}
}

// chunks gathers what is written in pieces.
func chunks(t testing.TB, write func(*resource.Chunks) error) string {
	t.Helper()
	var b bytes.Buffer
	if err := write(&resource.Chunks{W: &b}); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

// checkDelete deletes one object, and the others as a collection where the type allows that.
func checkDelete(t *testing.T, c *cluster, ty *resource.Type) {
	t.Helper()
	path := objectPath(ty, nameFor(ty, "x-json"))
	zero := int64(0)
	background := metav1.DeletePropagationBackground
	o := metav1.DeleteOptions{GracePeriodSeconds: &zero, PropagationPolicy: &background}
	if _, err := c.do(t, request{verb: "delete", path: path, delete: o}); err != nil {
		t.Fatalf("delete: %v", err)
	}
	if ty.Resource == "namespaces" {
		c.must(t, "update", path+"/finalize", `{"metadata":{"name":"x-json"},"spec":{"finalizers":[]}}`)
	}
	if _, err := c.do(t, request{verb: "get", path: path}); code(err) != 404 {
		t.Errorf("after the delete, get answers %v", err)
	}
	p := c.permit(t, "deletecollection", collection(ty))
	l, err := c.DeleteCollection(t.Context(), p, resource.ListOptions{Labels: selector(t, "made=here")}, o, resource.Write{})
	if ty.Resource == "namespaces" {
		if code(err) != 405 {
			t.Errorf("deletecollection of namespaces: %v", err)
		}
		return
	}
	if err != nil {
		t.Fatalf("deletecollection: %v", err)
	}
	if diff := cmp.Diff([]string{nameFor(ty, "x-proto"), nameFor(ty, "x-yaml")}, names(l)); diff != "" {
		t.Errorf("deletecollection answers (-want +got):\n%s", diff)
	}
	if rest := c.list(t, collection(ty), resource.ListOptions{Labels: selector(t, "made=here")}); len(rest.Items) > 0 {
		t.Errorf("deletecollection left %s", strings.Join(names(rest), ", "))
	}
}
