package admission

import (
	"context"
	"errors"
	"fmt"

	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	storagev1 "k8s.io/api/storage/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	utilerrors "k8s.io/apimachinery/pkg/util/errors"

	"github.com/gatehouse/gatehouse/api"
	"github.com/gatehouse/gatehouse/authz"
	"github.com/gatehouse/gatehouse/internal/podrefs"
)

// token lets a node ask for tokens that are bound to a pod that runs on it, for audiences that the pod names.
func (n NodeRestriction) token(ctx context.Context, a *Attributes, node string) error {
	if a.Operation != Create || a.Subresource != "token" {
		return nil
	}
	request, ok := a.Object.(*authenticationv1.TokenRequest)
	if !ok {
		return a.Undecoded()
	}
	ref := request.Spec.BoundObjectRef
	switch {
	case ref == nil || ref.APIVersion != "v1" || ref.Kind != "Pod" || ref.Name == "":
		return a.Forbidden(errors.New("node requested token not bound to a pod"))
	case ref.UID == "":
		return a.Forbidden(errors.New("node requested token with a pod binding without a uid"))
	}
	pod, err := find[*corev1.Pod](ctx, n.Objects, "", "pods", "pod", a.Namespace, ref.Name)
	switch {
	case err != nil:
		return err
	case ref.UID != pod.UID:
		return a.Forbidden(fmt.Errorf("the UID in the bound object reference (%s) does not match the UID in record. "+
			"The object might have been deleted and then recreated", ref.UID))
	case pod.Spec.NodeName != node:
		return a.Forbidden(errors.New("node requested token bound to a pod scheduled on a different node"))
	}
	return n.audience(ctx, a, request, pod)
}

// audience refuses tokens for somebody whom the pod does not talk to. The empty audience is this server.
func (n NodeRestriction) audience(ctx context.Context, a *Attributes, request *authenticationv1.TokenRequest, pod *corev1.Pod) error {
	audience := ""
	switch len(request.Spec.Audiences) {
	case 0:
	case 1:
		audience = request.Spec.Audiences[0]
	default:
		return a.Forbidden(errors.New("node may only request 0 or 1 audiences"))
	}
	named, missing, err := n.podNames(ctx, pod, audience)
	switch {
	case err != nil:
		return err
	case named:
		return nil
	case missing != nil:
		return a.Forbidden(fmt.Errorf("error validating audience %q: %w", audience, missing))
	}
	user := a.Permit.User()
	decision, _, err := n.Authorizer.Authorize(ctx, user, api.RequestInfo{
		IsResource: true, Verb: "request-serviceaccounts-token-audience", Version: "v1", Resource: audience, Namespace: a.Namespace, Name: a.Name,
	})
	switch {
	case decision == authz.Allow:
		return nil
	case err != nil:
		return api.Internal(err)
	}
	return a.Forbidden(fmt.Errorf("audience %q not found in pod spec volume, %s is not authorized to request tokens for this audience", audience, user.Name))
}

// podNames reports whether a volume of the pod is for tokens of the audience, by itself or by the driver that mounts it, and which
// objects are missing that could have told. They count only if no volume is.
func (n NodeRestriction) podNames(ctx context.Context, pod *corev1.Pod, audience string) (named bool, missing, err error) {
	var errs []error
	for i := range pod.Spec.Volumes {
		v := &pod.Spec.Volumes[i]
		if v.Projected != nil {
			for _, s := range v.Projected.Sources {
				if s.ServiceAccountToken != nil && s.ServiceAccountToken.Audience == audience {
					return true, nil, nil
				}
			}
		}
		named, err := n.driverNames(ctx, pod, v, audience)
		switch {
		case named:
			return true, nil, nil
		case err != nil && !api.IsReason(err, metav1.StatusReasonNotFound):
			return false, nil, err
		}
		errs = append(errs, err)
	}
	return false, utilerrors.NewAggregate(errs), nil
}

// driverNames reports whether the driver of a volume wants tokens for the audience.
func (n NodeRestriction) driverNames(ctx context.Context, pod *corev1.Pod, v *corev1.Volume, audience string) (bool, error) {
	driver := ""
	switch {
	case (v.Ephemeral != nil && v.Ephemeral.VolumeClaimTemplate != nil) || v.PersistentVolumeClaim != nil:
		var err error
		if driver, err = n.driverOfClaim(ctx, pod.Namespace, podrefs.ClaimOf(pod, v)); err != nil {
			return false, err
		}
	case v.CSI != nil:
		driver = v.CSI.Driver
	default:
		driver = migratedInline(&v.VolumeSource)
	}
	if driver == "" {
		return false, nil
	}
	stored, err := find[*storagev1.CSIDriver](ctx, n.Objects, storagev1.GroupName, "csidrivers", "csidriver", "", driver)
	if err != nil {
		return false, err
	}
	for _, r := range stored.Spec.TokenRequests {
		if r.Audience == audience {
			return true, nil
		}
	}
	return false, nil
}

// driverOfClaim is the driver of the volume that the claim is bound to; empty if it has none.
func (n NodeRestriction) driverOfClaim(ctx context.Context, namespace, name string) (string, error) {
	claim, err := find[*corev1.PersistentVolumeClaim](ctx, n.Objects, "", "persistentvolumeclaims", "persistentvolumeclaim", namespace, name)
	if err != nil {
		return "", err
	}
	pv, err := find[*corev1.PersistentVolume](ctx, n.Objects, "", "persistentvolumes", "persistentvolume", "", claim.Spec.VolumeName)
	if err != nil {
		return "", err
	}
	if pv.Spec.CSI != nil {
		return pv.Spec.CSI.Driver, nil
	}
	return migrated(&pv.Spec.PersistentVolumeSource), nil
}

// The drivers that have taken over the kinds of volume which were once part of Kubernetes.
const (
	driverAWS       = "ebs.csi.aws.com"
	driverAzureDisk = "disk.csi.azure.com"
	driverAzureFile = "file.csi.azure.com"
	driverCinder    = "cinder.csi.openstack.org"
	driverGCE       = "pd.csi.storage.gke.io"
	driverPortworx  = "pxd.portworx.com"
	driverVsphere   = "csi.vsphere.vmware.com"
)

func migrated(s *corev1.PersistentVolumeSource) string {
	switch {
	case s.AWSElasticBlockStore != nil:
		return driverAWS
	case s.AzureDisk != nil:
		return driverAzureDisk
	case s.AzureFile != nil:
		return driverAzureFile
	case s.Cinder != nil:
		return driverCinder
	case s.GCEPersistentDisk != nil:
		return driverGCE
	case s.PortworxVolume != nil:
		return driverPortworx
	case s.VsphereVolume != nil:
		return driverVsphere
	}
	return ""
}

func migratedInline(s *corev1.VolumeSource) string {
	switch {
	case s.AWSElasticBlockStore != nil:
		return driverAWS
	case s.AzureDisk != nil:
		return driverAzureDisk
	case s.AzureFile != nil:
		return driverAzureFile
	case s.Cinder != nil:
		return driverCinder
	case s.GCEPersistentDisk != nil:
		return driverGCE
	case s.PortworxVolume != nil:
		return driverPortworx
	case s.VsphereVolume != nil:
		return driverVsphere
	}
	return ""
}
