package admission

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/gatehouse/gatehouse/api"
)

// ServiceAccounts finds service accounts.
type ServiceAccounts interface {
	// ServiceAccount returns the account, which the caller does not change, and whether there is one. It is as current as a
	// consistent read where there is none.
	ServiceAccount(ctx context.Context, namespace, name string) (*corev1.ServiceAccount, bool, error)
}

// ServiceAccount gives new pods an account of their namespace, what that account brings (secrets to pull images with) and a volume with its
// token. It is a Mutator and a Validator, and decides like the plugin of that name in kube-apiserver.
type ServiceAccount struct {
	// Accounts is required.
	Accounts ServiceAccounts
}

// defaultAccount is the account of pods that name none. A controller makes one in every namespace, soon after that.
const defaultAccount = "default"

// annotationEnforceSecrets restricts the pods of an account to the secrets that it lists.
const annotationEnforceSecrets = "kubernetes.io/enforce-mountable-secrets"

// Mutate completes new pods, except mirror pods: those run already, and the kubelet that shows them here would find another pod. It
// refuses like Validate.
func (s ServiceAccount) Mutate(ctx context.Context, a *Attributes) error {
	if !a.Concerns("", "pods") || a.Operation != Create {
		return nil
	}
	pod, ok := a.Object.(*corev1.Pod)
	if !ok {
		return a.Undecoded()
	}
	if _, mirror := pod.Annotations[corev1.MirrorPodAnnotationKey]; mirror {
		return s.Validate(ctx, a)
	}
	if pod.Spec.ServiceAccountName == "" {
		pod.Spec.ServiceAccountName = defaultAccount
	}
	pod.Spec.DeprecatedServiceAccount = pod.Spec.ServiceAccountName
	account, err := s.find(ctx, a, pod)
	if err != nil {
		return err
	}
	if mountsToken(account, pod) {
		mountToken(&pod.Spec)
	}
	if len(pod.Spec.ImagePullSecrets) == 0 {
		pod.Spec.ImagePullSecrets = slices.Clone(account.ImagePullSecrets)
	}
	return a.checkSecrets(account, pod)
}

// Validate refuses with 403 pods whose account does not exist, or that refer to secrets which they may not.
func (s ServiceAccount) Validate(ctx context.Context, a *Attributes) error {
	ephemeral := a.Subresource == "ephemeralcontainers" && a.Operation == Update
	if a.Resource.Group != "" || a.Resource.Resource != "pods" || !(ephemeral || (a.Subresource == "" && a.Operation == Create)) {
		return nil
	}
	pod, ok := a.Object.(*corev1.Pod)
	if !ok {
		return a.Undecoded()
	}
	if _, mirror := pod.Annotations[corev1.MirrorPodAnnotationKey]; mirror && !ephemeral {
		return a.checkMirror(pod)
	}
	if pod.Spec.ServiceAccountName == "" {
		return a.Forbidden(fmt.Errorf("no service account specified for pod %s/%s", a.Namespace, pod.Name))
	}
	account, err := s.find(ctx, a, pod)
	if err != nil {
		return err
	}
	return a.checkSecrets(account, pod)
}

// find returns the account of the pod. For the default one it waits a little: the controller that makes it may be about to.
func (s ServiceAccount) find(ctx context.Context, a *Attributes, pod *corev1.Pod) (*corev1.ServiceAccount, error) {
	name, tries := pod.Spec.ServiceAccountName, 1
	if name == defaultAccount && a.Operation == Create {
		tries = 10
	}
	pause := 100*time.Millisecond + rand.N(100*time.Millisecond)
	for try := 1; ; try++ {
		account, found, err := s.Accounts.ServiceAccount(ctx, a.Namespace, name)
		switch {
		case err != nil:
			return nil, api.ToError(err)
		case found:
			return account, nil
		case try == tries:
			missing := api.NotFound(schema.GroupResource{Resource: "serviceaccount"}, name)
			return nil, a.Forbidden(fmt.Errorf("error looking up service account %s/%s: %s", a.Namespace, name, missing.Status.Message))
		}
		select {
		case <-time.After(pause):
		case <-ctx.Done():
			return nil, api.ToError(ctx.Err())
		}
	}
}

// checkMirror refuses secrets and tokens for pods that the API server did not start.
func (a *Attributes) checkMirror(pod *corev1.Pod) error {
	if pod.Spec.ServiceAccountName != "" {
		return a.Forbidden(errors.New("a mirror pod may not reference service accounts"))
	}
	if refersToSecrets(&pod.Spec) {
		return a.Forbidden(errors.New("a mirror pod may not reference secrets"))
	}
	for _, v := range pod.Spec.Volumes {
		if v.Projected == nil {
			continue
		}
		for _, source := range v.Projected.Sources {
			if source.ServiceAccountToken != nil {
				return a.Forbidden(errors.New("a mirror pod may not use ServiceAccountToken volume projections"))
			}
		}
	}
	return nil
}

// checkSecrets refuses secrets that the account does not list, if it wants that. Of an update only the ephemeral containers are looked
// at.
func (a *Attributes) checkSecrets(account *corev1.ServiceAccount, pod *corev1.Pod) error {
	if enforced, _ := strconv.ParseBool(account.Annotations[annotationEnforceSecrets]); !enforced {
		return nil
	}
	listed := func(name string) bool {
		return slices.ContainsFunc(account.Secrets, func(r corev1.ObjectReference) bool { return r.Name == name })
	}
	if a.Operation == Update {
		for _, c := range pod.Spec.EphemeralContainers {
			if err := checkContainer("ephemeral container", account.Name, corev1.Container(c.EphemeralContainerCommon), listed); err != nil {
				return a.Forbidden(err)
			}
		}
		return nil
	}
	if err := checkSpec(&pod.Spec, account, listed); err != nil {
		return a.Forbidden(err)
	}
	return nil
}

func checkSpec(spec *corev1.PodSpec, account *corev1.ServiceAccount, listed func(string) bool) error {
	for _, v := range spec.Volumes {
		if v.Secret != nil && !listed(v.Secret.SecretName) {
			return fmt.Errorf("volume with secret.secretName=%q is not allowed because service account %s does not reference that secret",
				v.Secret.SecretName, account.Name)
		}
	}
	for _, c := range spec.InitContainers {
		if err := checkContainer("init container", account.Name, c, listed); err != nil {
			return err
		}
	}
	for _, c := range spec.Containers {
		if err := checkContainer("container", account.Name, c, listed); err != nil {
			return err
		}
	}
	for i, r := range spec.ImagePullSecrets {
		if !slices.Contains(account.ImagePullSecrets, r) {
			return fmt.Errorf("imagePullSecrets[%d].name=%q is not allowed because service account %s does not reference that imagePullSecret",
				i, r.Name, account.Name)
		}
	}
	return nil
}

func checkContainer(what, account string, c corev1.Container, listed func(string) bool) error {
	const because = "referencing secret.secretName=%q is not allowed because service account %s does not reference that secret"
	for _, env := range c.Env {
		if env.ValueFrom != nil && env.ValueFrom.SecretKeyRef != nil && !listed(env.ValueFrom.SecretKeyRef.Name) {
			return fmt.Errorf("%s %s with envVar %s "+because, what, c.Name, env.Name, env.ValueFrom.SecretKeyRef.Name, account)
		}
	}
	for _, env := range c.EnvFrom {
		if env.SecretRef != nil && !listed(env.SecretRef.Name) {
			return fmt.Errorf("%s %s with envFrom "+because, what, c.Name, env.SecretRef.Name, account)
		}
	}
	return nil
}

// mountsToken is the pod's word, else the account's, else yes.
func mountsToken(account *corev1.ServiceAccount, pod *corev1.Pod) bool {
	for _, say := range []*bool{pod.Spec.AutomountServiceAccountToken, account.AutomountServiceAccountToken} {
		if say != nil {
			return *say
		}
	}
	return true
}

// tokenPath is where programs look for the token; tokenVolume begins the name of the volume.
const (
	tokenPath   = "/var/run/secrets/kubernetes.io/serviceaccount"
	tokenVolume = "kube-api-access-"
)

// mountToken mounts the token in all containers that have nothing else in its place.
func mountToken(spec *corev1.PodSpec) {
	i := slices.IndexFunc(spec.Volumes, func(v corev1.Volume) bool { return strings.HasPrefix(v.Name, tokenVolume) })
	name := tokenVolume + tokenSuffix()
	if i >= 0 {
		name = spec.Volumes[i].Name
	}
	mounted := false
	for _, list := range [][]corev1.Container{spec.InitContainers, spec.Containers} {
		for j := range list {
			c := &list[j]
			if slices.ContainsFunc(c.VolumeMounts, func(m corev1.VolumeMount) bool { return m.MountPath == tokenPath }) {
				continue
			}
			c.VolumeMounts = append(c.VolumeMounts, corev1.VolumeMount{Name: name, ReadOnly: true, MountPath: tokenPath})
			mounted = true
		}
	}
	if mounted && i < 0 {
		spec.Volumes = append(spec.Volumes, corev1.Volume{Name: name, VolumeSource: corev1.VolumeSource{Projected: tokenSource()}})
	}
}
