package admission_test

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/pem"
	"errors"
	"strings"
	"testing"

	authenticationv1 "k8s.io/api/authentication/v1"
	certificatesv1 "k8s.io/api/certificates/v1"
	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	policyv1 "k8s.io/api/policy/v1"
	resourcev1 "k8s.io/api/resource/v1"
	storagev1 "k8s.io/api/storage/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"sigs.k8s.io/yaml"

	"github.com/gatehouse/gatehouse/admission"
	"github.com/gatehouse/gatehouse/api"
	"github.com/gatehouse/gatehouse/authz"
)

// stored is what the plugin finds, by resource and name.
type stored map[string]runtime.Object

func (s stored) Object(_ context.Context, r schema.GroupResource, namespace, name string) (runtime.Object, bool, error) {
	if name == "unreadable" {
		return nil, false, errors.New("etcd is gone")
	}
	o, ok := s[strings.Trim(r.String()+"/"+namespace+"/"+name, "/")]
	return o, ok, nil
}

// mayAskFor allows tokens for the audience "granted" and nothing else.
type mayAskFor struct{}

func (mayAskFor) Authorize(_ context.Context, user api.User, info api.RequestInfo) (authz.Decision, string, error) {
	ok := info.Verb == "request-serviceaccounts-token-audience" && info.Resource == "granted" && info.Namespace == "ns" &&
		info.Name == "sa" && info.Version == "v1" && info.Group == "" && user.Name == "system:node:n1"
	if ok {
		return authz.Allow, "", nil
	}
	if info.Resource == "broken" {
		return authz.NoOpinion, "", errors.New("the webhook is gone")
	}
	return authz.NoOpinion, "", nil
}

func read[T any](t *testing.T, text string) *T {
	t.Helper()
	o := new(T)
	if err := yaml.UnmarshalStrict([]byte(text), o); err != nil {
		t.Fatalf("%v:\n%s", err, text)
	}
	return o
}

// mirror is the pod that a kubelet shows of what runs on n1.
const mirror = `{metadata: {name: m, namespace: ns, annotations: {kubernetes.io/config.mirror: x},
  ownerReferences: [{apiVersion: v1, kind: Node, name: n1, uid: u1, controller: true}]}, spec: {nodeName: n1}}`

func inCluster(t *testing.T) stored {
	t.Helper()
	return stored{
		"nodes//n1": read[corev1.Node](t, `{metadata: {name: n1, uid: u1}}`),
		"pods/ns/mine": read[corev1.Pod](t, `{metadata: {name: mine, namespace: ns, uid: p1}, spec: {nodeName: n1, serviceAccountName: sa, volumes: [
			{name: a, projected: {sources: [{serviceAccountToken: {path: t}}, {serviceAccountToken: {audience: vault, path: v}}]}},
			{name: b, csi: {driver: inline}}, {name: c, persistentVolumeClaim: {claimName: c}}, {name: d, ephemeral: {volumeClaimTemplate: {}}},
			{name: e, awsElasticBlockStore: {volumeID: x}}]}}`),
		"pods/ns/plain": read[corev1.Pod](t, `{metadata: {name: plain, namespace: ns, uid: p2}, spec: {nodeName: n1}}`),
		"pods/ns/broken": read[corev1.Pod](t, `{metadata: {name: broken, namespace: ns, uid: p4}, spec: {nodeName: n1, volumes: [
			{name: a, persistentVolumeClaim: {claimName: unreadable}}]}}`),
		"pods/ns/lost": read[corev1.Pod](t, `{metadata: {name: lost, namespace: ns, uid: p5}, spec: {nodeName: n1, volumes: [
			{name: a, persistentVolumeClaim: {claimName: none}}, {name: b, csi: {driver: none}}]}}`),
		"pods/ns/theirs":                                   read[corev1.Pod](t, `{metadata: {name: theirs, namespace: ns, uid: p3}, spec: {nodeName: n2}}`),
		"persistentvolumeclaims/ns/c":                      read[corev1.PersistentVolumeClaim](t, `{spec: {volumeName: v}}`),
		"persistentvolumeclaims/ns/mine-d":                 read[corev1.PersistentVolumeClaim](t, `{spec: {volumeName: old}}`),
		"persistentvolumes//v":                             read[corev1.PersistentVolume](t, `{spec: {csi: {driver: bound, volumeHandle: h}}}`),
		"persistentvolumes//old":                           read[corev1.PersistentVolume](t, `{spec: {gcePersistentDisk: {pdName: x}}}`),
		"csidrivers.storage.k8s.io//inline":                read[storagev1.CSIDriver](t, `{spec: {tokenRequests: [{audience: of-inline}]}}`),
		"csidrivers.storage.k8s.io//bound":                 read[storagev1.CSIDriver](t, `{spec: {tokenRequests: [{audience: of-bound}]}}`),
		"csidrivers.storage.k8s.io//pd.csi.storage.gke.io": read[storagev1.CSIDriver](t, `{spec: {tokenRequests: [{audience: of-migrated}]}}`),
		"csidrivers.storage.k8s.io//ebs.csi.aws.com":       read[storagev1.CSIDriver](t, `{spec: {tokenRequests: [{audience: of-aws}]}}`),
	}
}

// write is a request by a node about RESOURCE[.GROUP][/SUB].
type write struct {
	operation   admission.Operation
	resource    string
	name        string
	object, old runtime.Object
}

// about makes a write of objects of one type from YAML; an empty text is no object.
func about[T any, P interface {
	*T
	runtime.Object
}](t *testing.T, operation admission.Operation, resource, name, old, object string,
) write {
	t.Helper()
	w := write{operation: operation, resource: resource, name: name}
	if object != "" {
		w.object = P(read[T](t, object))
	}
	if old != "" {
		w.old = P(read[T](t, old))
	}
	return w
}

func (w write) attributes(t *testing.T, user api.User, namespace string) *admission.Attributes {
	t.Helper()
	resource, sub, _ := strings.Cut(w.resource, "/")
	resource, group, _ := strings.Cut(resource, ".")
	info := api.RequestInfo{Verb: strings.ToLower(string(w.operation)), Group: group, Version: "v1", Resource: resource, Subresource: sub, Namespace: namespace, Name: w.name}
	return &admission.Attributes{
		Permit: permit(t, user, info), Operation: w.operation, Namespace: namespace, Name: w.name, Subresource: sub,
		Resource: schema.GroupVersionResource{Group: group, Version: "v1", Resource: resource}, Object: w.object, OldObject: w.old,
	}
}

// ask runs both phases, as a chain does.
func ask(t *testing.T, w write, user api.User, namespace string) (int, string) {
	t.Helper()
	n := admission.NodeRestriction{Objects: inCluster(t), Authorizer: mayAskFor{}}
	c := admission.Chain{Mutators: []admission.Mutator{n}, Validators: []admission.Validator{n}}
	a := w.attributes(t, user, namespace)
	err := c.Mutate(t.Context(), a)
	if err == nil {
		err = c.Validate(t.Context(), a)
	}
	return refusal(t, err)
}

func node(name string) api.User {
	return api.User{Name: "system:node:" + name, Groups: []string{"system:nodes", "system:authenticated"}}
}

// restrictionCase is a write by n1, and the end of what it is told; empty if it may.
type restrictionCase struct {
	name string
	w    write
	says string
}

func runRestriction(t *testing.T, namespace string, tests []restrictionCase) {
	t.Helper()
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			code, message := ask(t, tt.w, node("n1"), namespace)
			want := 0
			switch {
			case strings.HasSuffix(tt.says, "not found") && !strings.Contains(tt.says, "error validating"):
				want = 404
			case strings.HasPrefix(tt.says, "Internal"):
				want = 500
			case tt.says != "":
				want = 403
			}
			if code != want || !strings.HasSuffix(message, tt.says) || (tt.says == "") != (message == "") {
				t.Errorf("%d %s\nwant %d %s", code, message, want, tt.says)
			}
			// Nobody else is restricted.
			for _, other := range []api.User{{Name: "system:node:n1"}, {Name: "n1", Groups: []string{"system:nodes"}}, {Name: "alice"}} {
				if code, message := ask(t, tt.w, other, namespace); code != 0 {
					t.Errorf("%s: %d %s", other.Name, code, message)
				}
			}
			if code, message := ask(t, tt.w, node(""), namespace); code != 403 || !strings.HasSuffix(message, `could not determine node from user "system:node:"`) {
				t.Errorf("a node without a name: %d %s", code, message)
			}
		})
	}
}

func TestNodeRestrictionOnPods(t *testing.T) {
	create := func(from, to string) write {
		if from != "" && !strings.Contains(mirror, from) {
			t.Fatalf("%q is not in the pod", from)
		}
		return about[corev1.Pod](t, admission.Create, "pods", "m", "", strings.Replace(mirror, from, to, 1))
	}
	volume := func(v string) write { return create("nodeName: n1}", "nodeName: n1, volumes: [{name: v, "+v+"}]}") }
	status := func(node, now string) write {
		return about[corev1.Pod](t, admission.Update, "pods/status", "p",
			`{metadata: {name: p, labels: {a: b}}, spec: {nodeName: `+node+`}, status: {resourceClaimStatuses: [{name: x, resourceClaimName: y}], extendedResourceClaimStatus: {resourceClaimName: z, requestMappings: []}}}`, now)
	}
	const same = `status: {phase: Running, resourceClaimStatuses: [{name: x, resourceClaimName: y}], extendedResourceClaimStatus: {resourceClaimName: z, requestMappings: []}}}`
	evict := func(name string) write {
		return about[policyv1.Eviction](t, admission.Create, "pods/eviction", name, "", `{metadata: {name: `+name+`}}`)
	}
	runRestriction(t, "ns", []restrictionCase{
		{"a mirror pod of its own", create("", ""), ""},
		{"a pod that is none", create("kubernetes.io/config.mirror", "other"), `pod does not have "kubernetes.io/config.mirror" annotation, node "n1" can only create mirror pods`},
		{"a mirror pod elsewhere", create("nodeName: n1", "nodeName: n2"), `node "n1" can only create pods with spec.nodeName set to itself`},
		{"without an owner", create("[{apiVersion: v1, kind: Node, name: n1, uid: u1, controller: true}]", "[]"), `node "n1" can only create pods with an owner reference set to itself`},
		{"with two owners", create("controller: true}]", "controller: true}, {}]"), `node "n1" can only create pods with a single owner reference set to itself`},
		{"owned by another node", create("name: n1, uid", "name: n2, uid"), `node "n1" can only create pods with an owner reference set to itself`},
		{"owned, not controlled", create(", controller: true", ""), `node "n1" can only create pods with a controller owner reference set to itself`},
		{"blocking the deletion of its node", create("controller: true", "controller: true, blockOwnerDeletion: true"), `node "n1" must not set blockOwnerDeletion on an owner reference`},
		{"owned by the node that was", create("uid: u1", "uid: u0"), "node n1 UID mismatch: expected u0 got u1"},
		{"with an account", create("nodeName: n1", "nodeName: n1, serviceAccountName: sa"), `node "n1" can not create pods that reference serviceaccounts`},
		{"with a secret to pull images", create("nodeName: n1", "nodeName: n1, imagePullSecrets: [{name: s}]"), "that reference secrets"},
		{"with a config map in an ephemeral container", create("nodeName: n1", "nodeName: n1, ephemeralContainers: [{name: e, envFrom: [{configMapRef: {name: c}}]}]"), "that reference configmaps"},
		{"with a resource claim", create("nodeName: n1", "nodeName: n1, resourceClaims: [{name: c, resourceClaimName: c}]"), "that reference resourceclaims"},
		{"with a directory of its own", volume("hostPath: {path: /x}"), ""},
		{"with the downward API", volume("projected: {sources: [{downwardAPI: {}}]}"), ""},
		{"with a secret volume without a name", volume("secret: {}"), "that reference secrets (via secret volumes)"},
		{"with a config map volume without a name", volume("configMap: {}"), "that reference configmaps (via configmap volumes)"},
		{"with a driver", volume("csi: {driver: d}"), "that reference csidrivers (via CSI volumes)"},
		{"with glusterfs", volume("glusterfs: {endpoints: e, path: p}"), "that reference endpoints (via glusterFS volumes)"},
		{"with a claim", volume("persistentVolumeClaim: {claimName: c}"), "that reference persistentvolumeclaims"},
		{"with a claim of its own", volume("ephemeral: {}"), "that reference persistentvolumeclaims (via ephemeral volumes)"},
		{"with azure", volume("azureFile: {shareName: s, secretName: ''}"), "that reference secrets (via azureFile volumes)"},
		{"with a projected token", volume("projected: {sources: [{serviceAccountToken: {path: t}}]}"), "that reference serviceaccounts (via projected volumes)"},
		{"with a projected config map", volume("projected: {sources: [{configMap: {}}]}"), "that reference configmaps (via projected volumes)"},
		{"with a projected secret", volume("projected: {sources: [{secret: {}}]}"), "that reference secrets (via projected volumes)"},
		{"with a trust bundle", volume("projected: {sources: [{clusterTrustBundle: {path: p}}]}"), "that reference clustertrustbundles"},
		{"with a certificate", volume("projected: {sources: [{podCertificate: {signerName: s, keyType: k}}]}"), "that reference podcertificates"},
		{"with a volume of no kind", volume("emptyDir: null"), `error checking mirror pod for API references: unknown volume type for volume  "v"`},
		{"with a source of no kind", volume("projected: {sources: [{}]}"), `unknown source for projected volume "v"`},
		{"deleting its own", about[corev1.Pod](t, admission.Delete, "pods", "m", mirror, ""), ""},
		{"deleting another's", about[corev1.Pod](t, admission.Delete, "pods", "m", `{spec: {nodeName: n2}}`, ""), `node "n1" can only delete pods with spec.nodeName set to itself`},
		{"changing a pod", about[corev1.Pod](t, admission.Update, "pods", "m", mirror, mirror), `unexpected operation "UPDATE", node "n1" can only create and delete mirror pods`},
		{"another subresource", about[corev1.Pod](t, admission.Update, "pods/ephemeralcontainers", "m", mirror, mirror), `unexpected pod subresource "ephemeralcontainers", only 'status' and 'eviction' are allowed`},
		{"reporting on its own", status("n1", `{metadata: {name: p, labels: {a: b}}, `+same), ""},
		{"claiming to run it in the object", status("n2", `{metadata: {name: p, labels: {a: b}}, spec: {nodeName: n1}, `+same), `node "n1" can only update pod status for pods with spec.nodeName set to itself`},
		{"labels through the status", status("n1", `{metadata: {name: p, labels: {a: c}}, `+same), `node "n1" cannot update labels through pod status`},
		{"claims through the status", status("n1", `{metadata: {name: p, labels: {a: b}}, `+strings.Replace(same, "y}", "other}", 1)), `node "n1" cannot update resource claim statues`},
		{"extended claims through the status", status("n1", `{metadata: {name: p, labels: {a: b}}, `+strings.Replace(same, "z,", "other,", 1)), `node "n1" cannot update extended resource claim status`},
		{"evicting its own", evict("mine"), ""},
		{"evicting another's", evict("theirs"), "node n1 can only evict pods with spec.nodeName set to itself"},
		{"evicting nothing", evict("gone"), `pod "gone" not found`},
	})
}

func TestNodeRestrictionOnNodes(t *testing.T) {
	create := func(node string) write { return about[corev1.Node](t, admission.Create, "nodes", "n1", "", node) }
	update := func(now string) write {
		return about[corev1.Node](t, admission.Update, "nodes/status", "n1",
			`{metadata: {name: n1, labels: {node-restriction.kubernetes.io/a: b, free: x}}, spec: {taints: [{key: k, effect: NoSchedule}]}}`, now)
	}
	const (
		labelled = `labels: {node-restriction.kubernetes.io/a: b, free: x`
		tainted  = `}, spec: {taints: [{key: k, effect: NoSchedule}]}}`
	)
	runRestriction(t, "", []restrictionCase{
		{"itself, with labels that it knows", create(`{metadata: {name: n1, labels: {kubernetes.io/hostname: n1, node.kubernetes.io/x: y, a.kubelet.kubernetes.io/z: z, topology.kubernetes.io/zone: z, own: x}}}`), ""},
		{"another", create(`{metadata: {name: n2}}`), `node "n1" is not allowed to modify node "n2"`},
		{"with a label of the restricted domain", create(`{metadata: {name: n1, labels: {node-restriction.kubernetes.io/x: y, a.node-restriction.kubernetes.io/x: y}}}`), `node "n1" is not allowed to set the following labels: a.node-restriction.kubernetes.io/x, node-restriction.kubernetes.io/x`},
		{"with a label of Kubernetes that it does not know", create(`{metadata: {name: n1, labels: {node-role.kubernetes.io/master: "", foo.k8s.io/x: y}}}`), `labels: foo.k8s.io/x, node-role.kubernetes.io/master`},
		{"with a configuration elsewhere", create(`{metadata: {name: n1}, spec: {configSource: {}}}`), `node "n1" is not allowed to create pods with a non-nil configSource`},
		{"reporting", update(`{metadata: {name: n1, ` + labelled + `, more: y}` + tainted), ""},
		{"another's name in the object", about[corev1.Node](t, admission.Update, "nodes", "n1", `{metadata: {name: n2}}`, `{metadata: {name: n1}}`), `node "n1" is not allowed to modify node "n2"`},
		{"without its taint", update(`{metadata: {name: n1, ` + labelled + `}}}`), `node "n1" is not allowed to modify taints`},
		{"with an owner that will be missed", update(`{metadata: {name: n1, ownerReferences: [{apiVersion: v1, kind: Pod, name: x, uid: y}], ` + labelled + `}` + tainted), `node "n1" is not allowed to modify ownerReferences`},
		{"without a restricted label", update(`{metadata: {name: n1, labels: {free: x}` + tainted), `is not allowed to modify labels: node-restriction.kubernetes.io/a`},
		{"with a restricted label that is another", update(`{metadata: {name: n1, labels: {node-restriction.kubernetes.io/a: c, free: x}` + tainted), `is not allowed to modify labels: node-restriction.kubernetes.io/a`},
		{"deleting another", about[corev1.Node](t, admission.Delete, "nodes", "n2", `{metadata: {name: n2}}`, ""), `node "n1" is not allowed to modify node "n2"`},
	})
}

func TestNodeRestrictionOnClaims(t *testing.T) {
	const claim = `{metadata: {name: c, resourceVersion: "1"}, status: {phase: Bound, capacity: {storage: 1Gi}}}`
	update := func(now string) write {
		return about[corev1.PersistentVolumeClaim](t, admission.Update, "persistentvolumeclaims/status", "c", claim, now)
	}
	runRestriction(t, "ns", []restrictionCase{
		{"its size", update(`{apiVersion: v1, kind: PersistentVolumeClaim, metadata: {name: c}, status: {phase: Bound, capacity: {storage: 2Gi}, conditions: [{type: Resizing, status: "True"}], allocatedResources: {storage: 2Gi}}}`), ""},
		{"the spec", about[corev1.PersistentVolumeClaim](t, admission.Update, "persistentvolumeclaims", "c", claim, claim), "may only update PVC status"},
		{"deleting it", about[corev1.PersistentVolumeClaim](t, admission.Delete, "persistentvolumeclaims", "c", claim, ""), "may only update PVC status"},
	})
	code, message := ask(t, update(`{metadata: {name: c, labels: {a: b}}, status: {phase: Bound}}`), node("n1"), "ns")
	if code != 403 || !strings.Contains(message, `node "n1" is not allowed to update fields other than status.quantity and status.conditions: `) {
		t.Errorf("labels: %d %s", code, message)
	}
}

func TestNodeRestrictionOnTokens(t *testing.T) {
	token := func(bound, audiences string) write {
		return about[authenticationv1.TokenRequest](t, admission.Create, "serviceaccounts/token", "sa", "", `{spec: {audiences: [`+audiences+`]`+bound+`}}`)
	}
	mine := `, boundObjectRef: {apiVersion: v1, kind: Pod, name: mine, uid: p1}`
	plain := `, boundObjectRef: {apiVersion: v1, kind: Pod, name: plain, uid: p2}`
	runRestriction(t, "ns", []restrictionCase{
		{"for its pod", token(mine, ""), ""},
		{"for its pod and an audience that the pod names", token(mine, "vault"), ""},
		{"that a driver names", token(mine, "of-inline"), ""},
		{"that the driver of a claim names", token(mine, "of-bound"), ""},
		{"that the driver of a migrated volume names", token(mine, "of-migrated"), ""},
		{"that the driver of a migrated inline volume names", token(mine, "of-aws"), ""},
		{"that it is granted", token(plain, "granted"), ""},
		{"that nobody names", token(mine, "bank"), `audience "bank" not found in pod spec volume, system:node:n1 is not authorized to request tokens for this audience`},
		{"for this server, of a pod that does not want it", token(plain, ""), `audience "" not found in pod spec volume, system:node:n1 is not authorized to request tokens for this audience`},
		{"two at once", token(mine, "vault, bank"), "node may only request 0 or 1 audiences"},
		{"who cannot be asked about", token(plain, "broken"), "Internal error occurred: the server could not complete the request"},
		{"behind what is not there", token(`, boundObjectRef: {apiVersion: v1, kind: Pod, name: lost, uid: p5}`, "x"), `error validating audience "x": [persistentvolumeclaim "none" not found, csidriver.storage.k8s.io "none" not found]`},
		{"behind what cannot be read", token(`, boundObjectRef: {apiVersion: v1, kind: Pod, name: broken, uid: p4}`, "x"), "Internal error occurred: the server could not complete the request"},
		{"for nothing", token("", ""), "node requested token not bound to a pod"},
		{"for a secret", token(`, boundObjectRef: {apiVersion: v1, kind: Secret, name: s, uid: x}`, ""), "node requested token not bound to a pod"},
		{"without a uid", token(`, boundObjectRef: {apiVersion: v1, kind: Pod, name: mine}`, ""), "node requested token with a pod binding without a uid"},
		{"for the pod that was", token(`, boundObjectRef: {apiVersion: v1, kind: Pod, name: mine, uid: p0}`, ""), "the UID in the bound object reference (p0) does not match the UID in record. The object might have been deleted and then recreated"},
		{"for a pod elsewhere", token(`, boundObjectRef: {apiVersion: v1, kind: Pod, name: theirs, uid: p3}`, ""), "node requested token bound to a pod scheduled on a different node"},
		{"for no pod", token(`, boundObjectRef: {apiVersion: v1, kind: Pod, name: gone, uid: p1}`, ""), `pod "gone" not found`},
	})
}

func TestNodeRestrictionOnTheRest(t *testing.T) {
	csr := func(signer, name string) write {
		_, key, err := ed25519.GenerateKey(rand.Reader)
		if err != nil {
			t.Fatal(err)
		}
		der, err := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{Subject: pkix.Name{CommonName: name}}, key)
		if err != nil {
			t.Fatal(err)
		}
		text := base64.StdEncoding.EncodeToString(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE REQUEST", Bytes: der}))
		return about[certificatesv1.CertificateSigningRequest](t, admission.Create, "certificatesigningrequests.certificates.k8s.io", "c", "",
			`{spec: {signerName: `+signer+`, request: `+text+`}}`)
	}
	slice := func(o admission.Operation, old, now string) write {
		return about[resourcev1.ResourceSlice](t, o, "resourceslices.resource.k8s.io", "s", old, now)
	}
	lease := func(o admission.Operation, old, now string) write {
		return about[coordinationv1.Lease](t, o, "leases.coordination.k8s.io", "n1", old, now)
	}
	runRestriction(t, "kube-node-lease", []restrictionCase{
		{"its lease", lease(admission.Create, "", `{metadata: {name: n1}}`), ""},
		{"another's lease", lease(admission.Create, "", `{metadata: {name: n2}}`), "can only access node lease with the same name as the requesting node"},
		{"changing another's lease", lease(admission.Update, `{metadata: {name: n2}}`, `{metadata: {name: n1}}`), "can only access node lease with the same name as the requesting node"},
		{"deleting another's lease", lease(admission.Delete, `{metadata: {name: n2}}`, ""), "can only access node lease with the same name as the requesting node"},
		{"its CSINode", about[storagev1.CSINode](t, admission.Create, "csinodes.storage.k8s.io", "n1", "", `{metadata: {name: n1}}`), ""},
		{"another's CSINode", about[storagev1.CSINode](t, admission.Create, "csinodes.storage.k8s.io", "n2", "", `{metadata: {name: n2}}`), "can only access CSINode with the same name as the requesting node"},
		{"its slice", slice(admission.Create, "", `{spec: {nodeName: n1}}`), ""},
		{"another's slice", slice(admission.Create, "", `{spec: {nodeName: n2}}`), "can only create ResourceSlice with the same NodeName as the requesting node"},
		{"a slice of all", slice(admission.Create, "", `{spec: {}}`), "can only create ResourceSlice with the same NodeName as the requesting node"},
		{"deleting another's slice", slice(admission.Delete, `{spec: {nodeName: n2}}`, ""), "can only delete ResourceSlice with the same NodeName as the requesting node"},
		{"a certificate for itself", csr(certificatesv1.KubeAPIServerClientKubeletSignerName, "system:node:n1"), ""},
		{"a certificate for another", csr(certificatesv1.KubeAPIServerClientKubeletSignerName, "system:node:n2"), "can only create a node CSR with CN=system:node:n1"},
		{"a serving certificate for another", csr(certificatesv1.KubeletServingSignerName, "system:node:n2"), "can only create a node CSR with CN=system:node:n1"},
		{"a certificate of somebody else's kind", csr("example.com/x", "anything"), ""},
		{"no request", about[certificatesv1.CertificateSigningRequest](t, admission.Create, "certificatesigningrequests.certificates.k8s.io", "c", "", `{spec: {signerName: `+certificatesv1.KubeletServingSignerName+`, request: eA==}}`), "unable to parse csr: PEM block type must be CERTIFICATE REQUEST"},
		{"what is not restricted", about[corev1.Event](t, admission.Create, "events", "e", "", `{metadata: {name: e}}`), ""},
	})
	runRestriction(t, "kube-system", []restrictionCase{
		{"a lease elsewhere", lease(admission.Create, "", `{metadata: {name: n1}}`), `can only access leases in the "kube-node-lease" system namespace`},
	})
}
