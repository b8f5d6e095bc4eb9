package flags

import (
	"errors"
	"fmt"
	"slices"
	"strings"
)

// nodeRestriction is off in kube-apiserver. It concerns nobody but nodes, and in the hardened profile they are not let in without it.
const nodeRestriction = "NodeRestriction"

// PluginNames are the admission plugins of kube-apiserver 1.36 in its order.
func PluginNames() []string {
	return strings.Fields(`
		AlwaysAdmit NamespaceAutoProvision NamespaceLifecycle NamespaceExists LimitPodHardAntiAffinityTopology LimitRanger ServiceAccount
		NodeRestriction TaintNodesByCondition AlwaysPullImages ImagePolicyWebhook PodSecurity PodNodeSelector Priority DefaultTolerationSeconds
		PodTolerationRestriction EventRateLimit ExtendedResourceToleration DefaultStorageClass StorageObjectInUseProtection PodGroupProtection
		OwnerReferencesPermissionEnforcement PersistentVolumeClaimResize RuntimeClass CertificateApproval CertificateSigning
		ClusterTrustBundleAttest CertificateSubjectRestriction DefaultIngressClass DenyServiceExternalIPs PodTopologyLabels
		PodGroupWorkloadExists NodeDeclaredFeatureValidator JobValidation PodResizeValidator MutatingAdmissionPolicy MutatingAdmissionWebhook
		ValidatingAdmissionPolicy ValidatingAdmissionWebhook ResourceQuota AlwaysDeny
	`)
}

// offInKubernetes are those that have to be turned on in kube-apiserver.
func offInKubernetes() []string {
	return strings.Fields(`
		AlwaysAdmit NamespaceAutoProvision NamespaceExists LimitPodHardAntiAffinityTopology NodeRestriction AlwaysPullImages ImagePolicyWebhook
		PodNodeSelector PodTolerationRestriction EventRateLimit ExtendedResourceToleration OwnerReferencesPermissionEnforcement
		DenyServiceExternalIPs AlwaysDeny
	`)
}

// withoutEffect have none in kube-apiserver either: AlwaysAdmit by its name, and the others are about what it serves only if a feature gate, off by default,
// is turned on.
func withoutEffect() []string {
	return strings.Fields("AlwaysAdmit PodGroupProtection ClusterTrustBundleAttest PodGroupWorkloadExists JobValidation")
}

// missing do not exist here yet.
func missing() []string {
	return strings.Fields("ImagePolicyWebhook")
}

// keptOn are those that the hardened profile does not turn off: without them content outlives its namespace, and users get certificates that are not for
// them.
func keptOn() []string {
	return strings.Fields("NamespaceLifecycle CertificateApproval CertificateSigning CertificateSubjectRestriction")
}

// Plugins are the admission plugins of kube-apiserver that exist here, in its order.
func Plugins() []string {
	return slices.DeleteFunc(PluginNames(), func(name string) bool {
		return slices.Contains(missing(), name) || slices.Contains(withoutEffect(), name)
	})
}

// filtered are those of the names that are among the others.
func filtered(names, others []string) []string {
	return slices.DeleteFunc(names, func(name string) bool { return !slices.Contains(others, name) })
}

// PluginIsOn reports whether an admission plugin is on for the two lists of [Options].
func PluginIsOn(name string, on, off []string) bool {
	if slices.Contains(offInKubernetes(), name) {
		return slices.Contains(on, name)
	}
	return !slices.Contains(off, name)
}

func (o *Options) isOn(plugin string) bool { return PluginIsOn(plugin, o.AdmissionOn, o.AdmissionOff) }

// judgePlugins sets which plugins are on and off. It accepts what is true without doing anything, and refuses what would leave out something
// that is asked for.
func (o *Options) judgePlugins(enable, disable []string) (notes []string, faults []error) {
	o.AdmissionOn, o.AdmissionOff = nil, nil
	if o.Profile == Hardened {
		o.AdmissionOn = []string{nodeRestriction}
	}
	for _, name := range enable {
		note, err := o.enable(name, disable)
		notes, faults = add(notes, faults, "enable-admission-plugins", name, note, err)
	}
	for _, name := range disable {
		note, err := o.disable(name)
		notes, faults = add(notes, faults, "disable-admission-plugins", name, note, err)
	}
	return notes, faults
}

func add(notes []string, faults []error, flag, name, note string, err error) ([]string, []error) {
	if err != nil {
		return notes, append(faults, fmt.Errorf("--%s=%s: %w", flag, name, err))
	}
	if note != "" {
		notes = append(notes, "--"+flag+"="+name+" changes nothing: "+note)
	}
	return notes, faults
}

// enable turns a plugin on, or says why that changes nothing.
func (o *Options) enable(name string, disable []string) (note string, err error) {
	off := slices.Contains(offInKubernetes(), name)
	switch {
	case !slices.Contains(PluginNames(), name):
		return "", unknownPlugin(name)
	case slices.Contains(disable, name):
		return "", errors.New("--disable-admission-plugins names it too")
	case slices.Contains(withoutEffect(), name):
		return noEffect, nil
	case slices.Contains(missing(), name) && off:
		return "", errors.New("not implemented yet")
	case slices.Contains(missing(), name):
		return notYet, nil
	case o.isOn(name):
		return "it is on", nil
	}
	o.AdmissionOn = append(o.AdmissionOn, name)
	return "", nil
}

// disable turns a plugin off, or says why that changes nothing.
func (o *Options) disable(name string) (note string, err error) {
	switch {
	case !slices.Contains(PluginNames(), name):
		return "", unknownPlugin(name)
	case slices.Contains(withoutEffect(), name):
		return noEffect, nil
	case slices.Contains(missing(), name):
		return notYet, nil
	case !o.isOn(name):
		return "it is off", nil
	case o.Profile == Hardened && slices.Contains(keptOn(), name):
		return "", errors.New("the hardened profile keeps it on")
	case slices.Contains(o.AdmissionOn, name):
		o.AdmissionOn = slices.DeleteFunc(o.AdmissionOn, func(on string) bool { return on == name })
		return "", nil
	}
	o.AdmissionOff = append(o.AdmissionOff, name)
	return "", nil
}

const (
	noEffect = "it has no effect in kube-apiserver either, unless a feature gate is turned on"
	notYet   = "that plugin does not exist here yet"
)

func unknownPlugin(name string) error {
	return fmt.Errorf("no such plugin%s", didYouMean("", nearest(name, PluginNames())))
}
