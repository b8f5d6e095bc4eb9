package node_test

import (
	"fmt"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	resourcev1 "k8s.io/api/resource/v1"
	storagev1 "k8s.io/api/storage/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/gatehouse/gatehouse/api"
	"github.com/gatehouse/gatehouse/authz"
	"github.com/gatehouse/gatehouse/authz/node"
)

func meta(namespace, name string) metav1.ObjectMeta {
	return metav1.ObjectMeta{Namespace: namespace, Name: name}
}

// pod uses the secret, config map, claim and service account of its own name, and an imaged secret that all pods share.
func pod(name, onNode string) *corev1.Pod {
	resourceClaim := "rc-" + name
	return &corev1.Pod{
		ObjectMeta: meta("ns", name),
		Spec: corev1.PodSpec{
			NodeName: onNode, ServiceAccountName: "sa-" + name,
			ImagePullSecrets: []corev1.LocalObjectReference{{Name: "shared"}, {Name: "shared"}},
			ResourceClaims:   []corev1.PodResourceClaim{{Name: "x", ResourceClaimName: &resourceClaim}},
			Volumes: []corev1.Volume{
				{VolumeSource: corev1.VolumeSource{Secret: &corev1.SecretVolumeSource{SecretName: "secret-" + name}}},
				{VolumeSource: corev1.VolumeSource{ConfigMap: &corev1.ConfigMapVolumeSource{
					LocalObjectReference: corev1.LocalObjectReference{Name: "map-" + name},
				}}},
				{VolumeSource: corev1.VolumeSource{PersistentVolumeClaim: &corev1.PersistentVolumeClaimVolumeSource{ClaimName: "claim-" + name}}},
			},
		},
	}
}

func volume(name, claim, secret string) *corev1.PersistentVolume {
	pv := &corev1.PersistentVolume{ObjectMeta: meta("", name)}
	if claim != "" {
		pv.Spec.ClaimRef = &corev1.ObjectReference{Namespace: "ns", Name: claim}
	}
	pv.Spec.CSI = &corev1.CSIPersistentVolumeSource{NodePublishSecretRef: &corev1.SecretReference{Namespace: "csi", Name: secret}}
	return pv
}

// cluster is a graph of two nodes with a pod each, and what belongs to them.
func cluster() *node.Graph {
	g := node.NewGraph()
	g.ApplyPod(pod("a", "n1"))
	g.ApplyPod(pod("b", "n2"))
	g.ApplyPod(pod("waiting", ""))
	mirror := pod("mirror", "n1")
	mirror.Annotations = map[string]string{corev1.MirrorPodAnnotationKey: "x"}
	g.ApplyPod(mirror)
	g.ApplyVolume(volume("va", "claim-a", "csi-a"))
	g.ApplyVolume(volume("vb", "claim-b", "csi-b"))
	g.ApplyVolume(volume("free", "", "csi-free"))
	g.ApplyAttachment(&storagev1.VolumeAttachment{ObjectMeta: meta("", "at1"), Spec: storagev1.VolumeAttachmentSpec{NodeName: "n1"}})
	one, none := "n1", (*string)(nil)
	g.ApplySlice(&resourcev1.ResourceSlice{ObjectMeta: meta("", "s1"), Spec: resourcev1.ResourceSliceSpec{NodeName: &one}})
	g.ApplySlice(&resourcev1.ResourceSlice{ObjectMeta: meta("", "s0"), Spec: resourcev1.ResourceSliceSpec{NodeName: none}})
	return g
}

// kubelet is the user of a node.
func kubelet(name string) api.User {
	return api.User{Name: "system:node:" + name, Groups: []string{"system:nodes", "system:authenticated"}}
}

// request reads "VERB RESOURCE[.GROUP][/SUB] [NAMESPACE/]NAME [FIELDSELECTOR]"; a name "-" is none.
func request(text string) api.RequestInfo {
	f := strings.Fields(text)
	resource, sub, _ := strings.Cut(f[1], "/")
	resource, group, _ := strings.Cut(resource, ".")
	info := api.RequestInfo{IsResource: true, Verb: f[0], Group: group, Version: "v1", Resource: resource, Subresource: sub}
	namespace, name, namespaced := strings.Cut(f[2], "/")
	if !namespaced {
		namespace, name = "", f[2]
	}
	if info.Namespace = namespace; name != "-" {
		info.Name = name
	}
	if len(f) > 3 {
		info.FieldSelector = f[3]
	}
	return info
}

// none is the reason for an object that the node has nothing to do with.
const none = "no relationship found between node 'n1' and this object"

func TestAuthorize(t *testing.T) {
	a := node.New(cluster())
	tests := []struct{ request, refusal string }{
		// What the node's own pod uses, and what another node's does.
		{"get secrets ns/secret-a", ""},
		{"list secrets ns/secret-a", ""},
		{"watch secrets ns/secret-a", ""},
		{"get secrets ns/shared", ""},
		{"get secrets ns/secret-b", none},
		{"get secrets other/secret-a", none},
		{"get secrets ns/secret-waiting", none},
		{"get secrets ns/secret-mirror", none},
		{"list secrets ns/-", "No Object name found"},
		{"get secrets secret-a", "can only read namespaced object of this type"},
		{"update secrets ns/secret-a", "can only read resources of this type"},
		{"get secrets/x ns/secret-a", "cannot read subresource"},
		{"get configmaps ns/map-a", ""},
		{"get configmaps ns/map-b", none},
		{"get persistentvolumeclaims ns/claim-a", ""},
		{"get persistentvolumeclaims ns/claim-b", none},
		{"list persistentvolumeclaims ns/claim-a", "can only get individual resources of this type"},
		{"update persistentvolumeclaims/status ns/claim-a", ""},
		{"patch persistentvolumeclaims/status ns/claim-b", none},
		{"get persistentvolumeclaims/status ns/claim-a", "can only get/update/patch this type"},
		{"get persistentvolumeclaims/x ns/claim-a", "cannot get subresource"},
		{"get persistentvolumes va", ""},
		{"get persistentvolumes vb", none},
		{"get persistentvolumes free", none},
		{"get secrets csi/csi-a", ""},
		{"get secrets csi/csi-b", none},
		{"get resourceclaims.resource.k8s.io ns/rc-a", ""},
		{"get resourceclaims.resource.k8s.io ns/rc-b", none},
		{"get volumeattachments.storage.k8s.io at1", ""},
		{"get volumeattachments.storage.k8s.io at2", none},
		// Service accounts and their tokens.
		{"get serviceaccounts ns/sa-a", ""},
		{"get serviceaccounts ns/sa-b", none},
		{"list serviceaccounts ns/sa-a", "can only create tokens for individual service accounts"},
		{"create serviceaccounts/token ns/sa-a", ""},
		{"create serviceaccounts/token ns/sa-b", none},
		{"create serviceaccounts/token ns/sa-mirror", none},
		{"create serviceaccounts ns/sa-a", "can only create token subresource of serviceaccount"},
		// Its own objects.
		{"get leases.coordination.k8s.io kube-node-lease/n1", ""},
		{"create leases.coordination.k8s.io kube-node-lease/-", ""},
		{"get leases.coordination.k8s.io kube-node-lease/n2", "can only access node lease with the same name as the requesting node"},
		{"get leases.coordination.k8s.io kube-system/n1", `can only access leases in the "kube-node-lease" system namespace`},
		{"list leases.coordination.k8s.io kube-node-lease/n1", "can only get, create, update, patch, or delete a node lease"},
		{"patch csinodes.storage.k8s.io n1", ""},
		{"create csinodes.storage.k8s.io -", ""},
		{"patch csinodes.storage.k8s.io n2", "can only access CSINode with the same name as the requesting node"},
		{"watch csinodes.storage.k8s.io n1", "can only get, create, update, patch, or delete a CSINode"},
		{"get csinodes.storage.k8s.io/x n1", "cannot authorize CSINode subresources"},
		{"get nodes n1", ""},
		{"watch nodes n1", ""},
		{"get nodes n2", "node 'n1' cannot read 'n2', only its own Node object"},
		{"list nodes -", "node 'n1' cannot read all nodes, only its own Node object"},
		{"create nodes -", ""},
		{"patch nodes/status n1", ""},
		{"delete nodes n1", ""}, // refused without a reason
		{"get nodes/status n1", ""},
		{"get nodes/proxy n1", ""},
		// Pods and slices by selector.
		{"get pods ns/a", ""},
		{"get pods ns/mirror", ""},
		{"get pods ns/b", none},
		{"get pods ns/waiting", none},
		{"list pods ns/a", ""},
		{"list pods ns/b", none},
		{"list pods - spec.nodeName=n1", ""},
		{"watch pods ns/- status.phase=Running,spec.nodeName==n1", ""},
		{"list pods - spec.nodeName=n2", "can only list/watch pods with spec.nodeName field selector"},
		{"list pods - spec.nodeName!=n1", "can only list/watch pods with spec.nodeName field selector"},
		{"list pods - spec.nodeName", "can only list/watch pods with spec.nodeName field selector"},
		{"list pods -", "can only list/watch pods with spec.nodeName field selector"},
		{"create pods/eviction ns/a", ""},
		{"delete pods ns/b", ""}, // for NodeRestriction
		{"update pods ns/a", ""},
		{"deletecollection pods ns/- spec.nodeName=n1", ""},
		{"create pods/exec ns/a", ""},
		{"get resourceslices.resource.k8s.io s1", ""},
		{"get resourceslices.resource.k8s.io s0", none},
		{"create resourceslices.resource.k8s.io -", ""},
		{"list resourceslices.resource.k8s.io - spec.nodeName=n1", ""},
		{"deletecollection resourceslices.resource.k8s.io -", "can only list/watch/deletecollection resourceslices with nodeName field selector"},
		{"frob resourceslices.resource.k8s.io s1", "only the following verbs are allowed for a ResourceSlice: get, watch, list, create, update, patch, delete, deletecollection"},
		// What all nodes may.
		{"watch services ns/-", ""},
		{"create subjectaccessreviews.authorization.k8s.io -", ""},
		{"create events.events.k8s.io ns/-", ""},
		{"watch runtimeclasses.node.k8s.io -", ""},
		{"create certificatesigningrequests.certificates.k8s.io -", ""},
		{"get podcertificaterequests.certificates.k8s.io ns/x", ""},
		{"get secrets.other.io ns/secret-a", ""},
	}
	// refused are those without a reason.
	refused := " delete nodes n1; get nodes/status n1; get nodes/proxy n1; update pods ns/a; deletecollection pods ns/- spec.nodeName=n1; " +
		"create pods/exec ns/a; get podcertificaterequests.certificates.k8s.io ns/x; get secrets.other.io ns/secret-a;"
	for _, tt := range tests {
		decision, reason, err := a.Authorize(t.Context(), kubelet("n1"), request(tt.request))
		want := authz.Allow
		if tt.refusal != "" || strings.Contains(refused, " "+tt.request+";") {
			want = authz.NoOpinion
		}
		if decision != want || reason != tt.refusal || err != nil {
			t.Errorf("%s: %v %q %v, want %v %q", tt.request, decision, reason, err, want, tt.refusal)
		}
	}
}

// TestWhoIsANode guards the identity: a name alone, or a group alone, makes no node.
func TestWhoIsANode(t *testing.T) {
	a := node.New(cluster())
	own := request("get nodes n1")
	tests := []struct {
		user   api.User
		want   authz.Decision
		reason string
	}{
		{kubelet("n1"), authz.Allow, ""},
		{kubelet("n2"), authz.NoOpinion, "node 'n2' cannot read 'n1', only its own Node object"},
		{api.User{Name: "system:node:n1"}, authz.NoOpinion, ""},
		{api.User{Name: "n1", Groups: []string{"system:nodes"}}, authz.NoOpinion, ""},
		{kubelet(""), authz.NoOpinion, `unknown node for user "system:node:"`},
		{api.User{}, authz.NoOpinion, ""},
	}
	for _, tt := range tests {
		if d, reason, err := a.Authorize(t.Context(), tt.user, own); d != tt.want || reason != tt.reason || err != nil {
			t.Errorf("%q: %v %q %v", tt.user.Name, d, reason, err)
		}
	}
	if d, _, _ := a.Authorize(t.Context(), kubelet("n1"), api.RequestInfo{Verb: "get", Path: "/metrics"}); d != authz.NoOpinion {
		t.Errorf("a path: %v", d)
	}
	if _, err := a.RulesFor(kubelet("n1"), "ns"); fmt.Sprint(err) != "node authorizer does not support user rule resolution" {
		t.Errorf("rules: %v", err)
	}
	if _, err := a.RulesFor(api.User{Name: "jane"}, "ns"); err != nil {
		t.Errorf("rules of somebody else: %v", err)
	}
}
