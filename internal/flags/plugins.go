package flags

import (
	"fmt"
	"slices"
	"strings"
)

// always is the one admission plugin of kube-apiserver that exists here; it cannot be turned off.
const always = "NamespaceLifecycle"

// pluginNames are the admission plugins of kube-apiserver 1.36.
func pluginNames() []string {
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

// judgePlugins accepts what is true without doing anything, and refuses the rest.
func judgePlugins(enable, disable []string) (notes []string, faults []error) {
	for _, name := range enable {
		switch {
		case !slices.Contains(pluginNames(), name):
			faults = append(faults, unknownPlugin("enable-admission-plugins", name))
		case name == always:
			notes = append(notes, "--enable-admission-plugins="+name+" changes nothing: it is always on")
		default:
			faults = append(faults, fmt.Errorf("--enable-admission-plugins=%s: not implemented yet, %s is", name, always))
		}
	}
	for _, name := range disable {
		switch {
		case !slices.Contains(pluginNames(), name):
			faults = append(faults, unknownPlugin("disable-admission-plugins", name))
		case name == always:
			faults = append(faults, fmt.Errorf("--disable-admission-plugins=%s: it cannot be turned off", name))
		default:
			notes = append(notes, "--disable-admission-plugins="+name+" changes nothing: that plugin does not exist here yet")
		}
	}
	return notes, faults
}

func unknownPlugin(flag, name string) error {
	return fmt.Errorf("--%s=%s: no such plugin%s", flag, name, didYouMean("", nearest(name, pluginNames())))
}
