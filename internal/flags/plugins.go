package flags

import (
	"fmt"
	"slices"
	"strings"
)

// alwaysOn are admission plugins of kube-apiserver that exist here and cannot be turned off.
func alwaysOn() []string {
	return []string{"NamespaceLifecycle", "CertificateApproval", "CertificateSigning", "CertificateSubjectRestriction"}
}

// OptionalPlugins are admission plugins of kube-apiserver that exist here and can be turned off.
func OptionalPlugins() []string {
	return strings.Fields(`
		DefaultIngressClass DefaultStorageClass DefaultTolerationSeconds LimitRanger MutatingAdmissionPolicy NodeRestriction
		PersistentVolumeClaimResize PodSecurity Priority ResourceQuota RuntimeClass ServiceAccount StorageObjectInUseProtection TaintNodesByCondition
		ValidatingAdmissionPolicy
	`)
}

// offByDefault are those of the optional plugins that have to be turned on. NodeRestriction is off in kube-apiserver; it concerns nobody but
// nodes, and in the hardened profile they are not let in without it.
func offByDefault(p Profile) []string {
	if p == Compatible {
		return []string{nodeRestriction}
	}
	return nil
}

const nodeRestriction = "NodeRestriction"

// PluginNames are the admission plugins of kube-apiserver 1.36.
func PluginNames() []string {
	return strings.Fields(`
		AlwaysAdmit AlwaysDeny AlwaysPullImages CertificateApproval CertificateSigning CertificateSubjectRestriction
		ClusterTrustBundleAttest DefaultIngressClass DefaultStorageClass DefaultTolerationSeconds DenyServiceExternalIPs
		EventRateLimit ExtendedResourceToleration ImagePolicyWebhook JobValidation LimitPodHardAntiAffinityTopology LimitRanger
		MutatingAdmissionPolicy MutatingAdmissionWebhook NamespaceAutoProvision NamespaceExists NamespaceLifecycle
		NodeDeclaredFeatureValidator NodeRestriction OwnerReferencesPermissionEnforcement PersistentVolumeClaimResize
		PodGroupProtection PodGroupWorkloadExists PodNodeSelector PodResizeValidator PodSecurity PodTolerationRestriction PodTopologyLabels Priority ResourceQuota RuntimeClass
		ServiceAccount StorageObjectInUseProtection TaintNodesByCondition ValidatingAdmissionPolicy
		ValidatingAdmissionWebhook
	`)
}

// judgePlugins returns which plugins are off. It accepts what is true without doing anything, and refuses the rest.
func judgePlugins(p Profile, enable, disable []string) (off, notes []string, faults []error) {
	off = slices.DeleteFunc(offByDefault(p), func(name string) bool { return slices.Contains(enable, name) })
	for _, name := range enable {
		switch {
		case !slices.Contains(PluginNames(), name):
			faults = append(faults, unknownPlugin("enable-admission-plugins", name))
		case slices.Contains(disable, name):
			faults = append(faults, fmt.Errorf("--enable-admission-plugins=%s: --disable-admission-plugins names it too", name))
		case slices.Contains(offByDefault(p), name):
		case slices.Contains(alwaysOn(), name), slices.Contains(OptionalPlugins(), name):
			notes = append(notes, "--enable-admission-plugins="+name+" changes nothing: it is on")
		default:
			faults = append(faults, fmt.Errorf("--enable-admission-plugins=%s: not implemented yet", name))
		}
	}
	for _, name := range disable {
		switch {
		case !slices.Contains(PluginNames(), name):
			faults = append(faults, unknownPlugin("disable-admission-plugins", name))
		case slices.Contains(alwaysOn(), name):
			faults = append(faults, fmt.Errorf("--disable-admission-plugins=%s: it cannot be turned off", name))
		case slices.Contains(off, name):
			notes = append(notes, "--disable-admission-plugins="+name+" changes nothing: it is off")
		case slices.Contains(OptionalPlugins(), name):
			off = append(off, name)
		default:
			notes = append(notes, "--disable-admission-plugins="+name+" changes nothing: that plugin does not exist here yet")
		}
	}
	return off, notes, faults
}

func unknownPlugin(flag, name string) error {
	return fmt.Errorf("--%s=%s: no such plugin%s", flag, name, didYouMean("", nearest(name, PluginNames())))
}
