package admission

import (
	"context"
	"errors"
	"fmt"
	"slices"

	corev1 "k8s.io/api/core/v1"
	policyv1 "k8s.io/api/policy/v1"
	apiequality "k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/labels"

	"github.com/gatehouse/gatehouse/internal/podrefs"
)

// pod is about what a node does with pods: it shows those that run without the API server (mirror pods), reports on its own and
// evicts its own.
func (n NodeRestriction) pod(ctx context.Context, a *Attributes, node string) error {
	switch a.Subresource {
	case "":
		switch a.Operation {
		case Create:
			return n.mirrorPod(ctx, a, node)
		case Delete:
			pod, ok := a.OldObject.(*corev1.Pod)
			if !ok {
				return a.Undecoded()
			}
			if pod.Spec.NodeName != node {
				return a.Forbidden(fmt.Errorf("node %q can only delete pods with spec.nodeName set to itself", node))
			}
			return nil
		}
		return a.Forbidden(fmt.Errorf("unexpected operation %q, node %q can only create and delete mirror pods", a.Operation, node))
	case "status":
		return checkPodStatus(a, node)
	case "eviction":
		return n.eviction(ctx, a, node)
	}
	return a.Forbidden(fmt.Errorf("unexpected pod subresource %q, only 'status' and 'eviction' are allowed", a.Subresource))
}

// mirrorPod refuses new pods that a node has no reason to make, or that would lead it to more than it has.
func (n NodeRestriction) mirrorPod(ctx context.Context, a *Attributes, node string) error {
	pod, ok := a.Object.(*corev1.Pod)
	if !ok {
		return a.Undecoded()
	}
	if _, mirror := pod.Annotations[corev1.MirrorPodAnnotationKey]; !mirror {
		return a.Forbidden(fmt.Errorf("pod does not have %q annotation, node %q can only create mirror pods", corev1.MirrorPodAnnotationKey, node))
	}
	if pod.Spec.NodeName != node {
		return a.Forbidden(fmt.Errorf("node %q can only create pods with spec.nodeName set to itself", node))
	}
	if err := n.mirrorOwner(ctx, a, pod, node); err != nil {
		return err
	}
	what, err := referenced(pod)
	switch {
	case err != nil:
		return a.Forbidden(fmt.Errorf("error checking mirror pod for API references: %w", err))
	case what != "":
		return a.Forbidden(fmt.Errorf("node %q can not create pods that reference %s", node, what))
	}
	return nil
}

// mirrorOwner refuses mirror pods that are not owned by their node and nothing else: they go when it goes.
func (n NodeRestriction) mirrorOwner(ctx context.Context, a *Attributes, pod *corev1.Pod, node string) error {
	if len(pod.OwnerReferences) > 1 {
		return a.Forbidden(fmt.Errorf("node %q can only create pods with a single owner reference set to itself", node))
	}
	if len(pod.OwnerReferences) == 0 {
		return a.Forbidden(fmt.Errorf("node %q can only create pods with an owner reference set to itself", node))
	}
	owner := pod.OwnerReferences[0]
	switch {
	case owner.APIVersion != "v1" || owner.Kind != "Node" || owner.Name != node:
		return a.Forbidden(fmt.Errorf("node %q can only create pods with an owner reference set to itself", node))
	case owner.Controller == nil || !*owner.Controller:
		return a.Forbidden(fmt.Errorf("node %q can only create pods with a controller owner reference set to itself", node))
	case owner.BlockOwnerDeletion != nil && *owner.BlockOwnerDeletion:
		return a.Forbidden(fmt.Errorf("node %q must not set blockOwnerDeletion on an owner reference", node))
	}
	stored, err := find[*corev1.Node](ctx, n.Objects, "", "nodes", "node", "", node)
	if err != nil {
		return err
	}
	if owner.UID != stored.UID {
		return a.Forbidden(fmt.Errorf("node %s UID mismatch: expected %s got %s", node, owner.UID, stored.UID))
	}
	return nil
}

// referenced is the first kind of object that the pod names anywhere; empty if it names none.
func referenced(pod *corev1.Pod) (string, error) {
	if pod.Spec.ServiceAccountName != "" {
		return "serviceaccounts", nil
	}
	for range podrefs.Secrets(pod) {
		return "secrets", nil
	}
	for range podrefs.ConfigMaps(pod) {
		return "configmaps", nil
	}
	if len(pod.Spec.ResourceClaims) > 0 {
		return "resourceclaims", nil
	}
	for i := range pod.Spec.Volumes {
		if what, err := referencedByVolume(&pod.Spec.Volumes[i]); what != "" || err != nil {
			return what, err
		}
	}
	return "", nil
}

// referencedByVolume names the kind of object that a node would need to mount the volume. A volume of a kind that is not known here is an
// error: what it needs is not known either.
func referencedByVolume(v *corev1.Volume) (string, error) {
	switch {
	case v.AWSElasticBlockStore != nil, v.AzureDisk != nil, v.CephFS != nil, v.Cinder != nil, v.DownwardAPI != nil, v.EmptyDir != nil,
		v.FC != nil, v.FlexVolume != nil, v.Flocker != nil, v.GCEPersistentDisk != nil, v.GitRepo != nil, v.HostPath != nil,
		v.Image != nil, v.ISCSI != nil, v.NFS != nil, v.PhotonPersistentDisk != nil, v.PortworxVolume != nil, v.Quobyte != nil,
		v.RBD != nil, v.ScaleIO != nil, v.StorageOS != nil, v.VsphereVolume != nil:
		return "", nil
	case v.ConfigMap != nil:
		return "configmaps (via configmap volumes)", nil
	case v.Secret != nil:
		return "secrets (via secret volumes)", nil
	case v.CSI != nil:
		return "csidrivers (via CSI volumes)", nil
	case v.Glusterfs != nil:
		return "endpoints (via glusterFS volumes)", nil
	case v.PersistentVolumeClaim != nil:
		return "persistentvolumeclaims", nil
	case v.Ephemeral != nil:
		return "persistentvolumeclaims (via ephemeral volumes)", nil
	case v.AzureFile != nil:
		return "secrets (via azureFile volumes)", nil
	case v.Projected != nil:
		for _, s := range v.Projected.Sources {
			switch {
			case s.ConfigMap != nil:
				return "configmaps (via projected volumes)", nil
			case s.Secret != nil:
				return "secrets (via projected volumes)", nil
			case s.ServiceAccountToken != nil:
				return "serviceaccounts (via projected volumes)", nil
			case s.ClusterTrustBundle != nil:
				return "clustertrustbundles", nil
			case s.PodCertificate != nil:
				return "podcertificates", nil
			case s.DownwardAPI == nil:
				return "", fmt.Errorf("unknown source for projected volume %q", v.Name)
			}
		}
		return "", nil
	}
	return "", fmt.Errorf("unknown volume type for volume  %q", v.Name)
}

// checkPodStatus refuses reports on other nodes' pods, and changes of what decides which services and claims a pod belongs to.
func checkPodStatus(a *Attributes, node string) error {
	if a.Operation != Update {
		return a.Forbidden(fmt.Errorf("unexpected operation %q", a.Operation))
	}
	old, ok := a.OldObject.(*corev1.Pod)
	if !ok {
		return a.Undecoded()
	}
	now, ok := a.Object.(*corev1.Pod)
	if !ok {
		return a.Undecoded()
	}
	switch {
	case old.Spec.NodeName != node:
		return a.Forbidden(fmt.Errorf("node %q can only update pod status for pods with spec.nodeName set to itself", node))
	case !labels.Equals(old.Labels, now.Labels):
		return a.Forbidden(fmt.Errorf("node %q cannot update labels through pod status", node))
	case !sameClaims(old.Status.ResourceClaimStatuses, now.Status.ResourceClaimStatuses):
		return a.Forbidden(fmt.Errorf("node %q cannot update resource claim statues", node))
	case !sameExtendedClaim(old.Status.ExtendedResourceClaimStatus, now.Status.ExtendedResourceClaimStatus):
		return a.Forbidden(fmt.Errorf("node %q cannot update extended resource claim status", node))
	}
	return nil
}

func sameClaims(a, b []corev1.PodResourceClaimStatus) bool {
	return slices.EqualFunc(a, b, func(a, b corev1.PodResourceClaimStatus) bool { return apiequality.Semantic.DeepEqual(a, b) })
}

func sameExtendedClaim(a, b *corev1.PodExtendedResourceClaimStatus) bool {
	if a == nil || b == nil {
		return a == b
	}
	return a.ResourceClaimName == b.ResourceClaimName && slices.Equal(a.RequestMappings, b.RequestMappings)
}

func (n NodeRestriction) eviction(ctx context.Context, a *Attributes, node string) error {
	if a.Operation != Create {
		return a.Forbidden(fmt.Errorf("unexpected operation %s", a.Operation))
	}
	eviction, ok := a.Object.(*policyv1.Eviction)
	if !ok {
		return a.Undecoded()
	}
	name := a.Name
	if name == "" {
		name = eviction.Name
	}
	if name == "" {
		return a.Forbidden(errors.New("could not determine pod from request data"))
	}
	pod, err := find[*corev1.Pod](ctx, n.Objects, "", "pods", "pod", a.Namespace, name)
	if err != nil {
		return err
	}
	if pod.Spec.NodeName != node {
		return a.Forbidden(fmt.Errorf("node %s can only evict pods with spec.nodeName set to itself", node))
	}
	return nil
}
