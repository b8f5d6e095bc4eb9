package resource

import (
	"strings"
	"time"

	admissionv1 "k8s.io/api/admissionregistration/v1"
	certificatesv1 "k8s.io/api/certificates/v1"
	coordinationv1 "k8s.io/api/coordination/v1"
	nodev1 "k8s.io/api/node/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	resourcev1 "k8s.io/api/resource/v1"
	schedulingv1 "k8s.io/api/scheduling/v1"
	"k8s.io/apimachinery/pkg/util/duration"
)

// clusterColumns are those of the groups with one or two printed types. The resources of these groups have distinct names.
func clusterColumns(resource string) *columns {
	switch resource {
	case "rolebindings":
		return bindingColumns("roleBinding",
			"RoleRef can reference a Role in the current namespace or a ClusterRole in the global namespace. "+
				"If the RoleRef cannot be resolved, the Authorizer must return an error.",
			func(b *rbacv1.RoleBinding) (rbacv1.RoleRef, []rbacv1.Subject) { return b.RoleRef, b.Subjects })
	case "clusterrolebindings":
		return bindingColumns("clusterRoleBinding",
			"RoleRef can only reference a ClusterRole in the global namespace. "+
				"If the RoleRef cannot be resolved, the Authorizer must return an error.",
			func(b *rbacv1.ClusterRoleBinding) (rbacv1.RoleRef, []rbacv1.Subject) { return b.RoleRef, b.Subjects })
	case "certificatesigningrequests":
		return signingRequestColumns()
	case "flowschemas":
		return flowSchemaColumns()
	case "prioritylevelconfigurations":
		return priorityLevelColumns()
	case "priorityclasses":
		return rowsOf(func(c *schedulingv1.PriorityClass) []any {
			return []any{c.Name, c.Value, c.GlobalDefault, ageOf(c), string(orElse(c.PreemptionPolicy, ""))}
		},
			nameColumn(),
			numberColumn("Value", documented(schedulingv1.PriorityClass{}, "value")),
			flagColumn("Global-Default", documented(schedulingv1.PriorityClass{}, "globalDefault")),
			ageColumn(),
			textColumn("PreemptionPolicy", documented(schedulingv1.PriorityClass{}, "preemptionPolicy")),
		)
	case "leases":
		return rowsOf(func(l *coordinationv1.Lease) []any {
			return []any{l.Name, orElse(l.Spec.HolderIdentity, ""), ageOf(l)}
		}, nameColumn(), textColumn("Holder", documented(coordinationv1.LeaseSpec{}, "holderIdentity")), ageColumn())
	case "runtimeclasses":
		// The description of the handler is empty in the reference.
		return rowsOf(func(c *nodev1.RuntimeClass) []any {
			return []any{c.Name, c.Handler, ageOf(c)}
		}, nameColumn(), textColumn("Handler", ""), ageColumn())
	default:
		return nil
	}
}

// bindingColumns are those of both kinds of role bindings; what names the kind in descriptions.
func bindingColumns[P Object](what, role string, read func(P) (rbacv1.RoleRef, []rbacv1.Subject)) *columns {
	definitions := append([]Column{nameColumn(), textColumn("Role", role), ageColumn()}, wideColumns(
		textColumn("Users", "Users in the "+what),
		textColumn("Groups", "Groups in the "+what),
		textColumn("ServiceAccounts", "ServiceAccounts in the "+what),
	)...)
	return rowsOf(func(b P) []any {
		ref, subjects := read(b)
		var users, groups, accounts []string
		for _, s := range subjects {
			switch s.Kind {
			case rbacv1.UserKind:
				users = append(users, s.Name)
			case rbacv1.GroupKind:
				groups = append(groups, s.Name)
			case rbacv1.ServiceAccountKind:
				accounts = append(accounts, s.Namespace+"/"+s.Name)
			}
		}
		return []any{
			b.GetName(), ref.Kind + "/" + ref.Name, ageOf(b),
			strings.Join(users, ", "), strings.Join(groups, ", "), strings.Join(accounts, ", "),
		}
	}, definitions...)
}

// The descriptions of two columns are those of the v1beta1 type, which is no longer served.
const (
	signerDescription = "Requested signer for the request. It is a qualified name in the form: `scope-hostname.io/name`. " +
		"If empty, it will be defaulted:\n" +
		" 1. If it's a kubelet client certificate, it is assigned\n    \"kubernetes.io/kube-apiserver-client-kubelet\".\n" +
		" 2. If it's a kubelet serving certificate, it is assigned\n    \"kubernetes.io/kubelet-serving\".\n" +
		" 3. Otherwise, it is assigned \"kubernetes.io/legacy-unknown\".\n" +
		"Distribution of trust for signers happens out of band. You can select on this field using `spec.signerName`."
	requestorDescription = "Base64-encoded PKCS#10 CSR data"
)

func signingRequestColumns() *columns {
	return rowsOf(func(r *certificatesv1.CertificateSigningRequest) []any {
		requested := none
		if s := r.Spec.ExpirationSeconds; s != nil {
			requested = duration.HumanDuration(time.Duration(*s) * time.Second)
		}
		return []any{r.Name, ageOf(r), orText(r.Spec.SignerName, none), r.Spec.Username, requested, signingStatus(r)}
	},
		nameColumn(),
		ageColumn(),
		textColumn("SignerName", signerDescription),
		textColumn("Requestor", requestorDescription),
		textColumn("RequestedDuration", documented(certificatesv1.CertificateSigningRequestSpec{}, "expirationSeconds")),
		textColumn("Condition", "Conditions applied to the request, such as approval or denial."),
	)
}

// signingStatus is the decision, in which a denial outweighs an approval, and what came of it.
func signingStatus(r *certificatesv1.CertificateSigningRequest) string {
	has := make(map[certificatesv1.RequestConditionType]bool)
	for _, c := range r.Status.Conditions {
		has[c.Type] = true
	}
	status := "Pending"
	switch {
	case has[certificatesv1.CertificateDenied]:
		status = "Denied"
	case has[certificatesv1.CertificateApproved]:
		status = "Approved"
	}
	if has[certificatesv1.CertificateFailed] {
		status += ",Failed"
	}
	if len(r.Status.Certificate) > 0 {
		status += ",Issued"
	}
	return status
}

func deviceColumns(resource string) *columns {
	switch resource {
	case "deviceclasses", "resourceclaimtemplates":
		return ageColumns()
	case "resourceclaims":
		return rowsOf(func(c *resourcev1.ResourceClaim) []any {
			return []any{c.Name, claimState(c), ageOf(c)}
		}, nameColumn(), textColumn("State", "A summary of the current state (allocated, pending, reserved, etc.)."), ageColumn())
	case "resourceslices":
		return rowsOf(func(s *resourcev1.ResourceSlice) []any {
			return []any{s.Name, orElse(s.Spec.NodeName, ""), s.Spec.Driver, s.Spec.Pool.Name, ageOf(s)}
		},
			nameColumn(),
			textColumn("Node", documented(resourcev1.ResourceSliceSpec{}, "nodeName")),
			textColumn("Driver", documented(resourcev1.ResourceSliceSpec{}, "driver")),
			textColumn("Pool", documented(resourcev1.ResourcePool{}, "name")),
			ageColumn(),
		)
	default:
		return nil
	}
}

func claimState(c *resourcev1.ResourceClaim) string {
	var states []string
	if c.DeletionTimestamp != nil {
		states = append(states, "deleted")
	}
	switch {
	case c.Status.Allocation == nil && c.DeletionTimestamp == nil:
		states = append(states, "pending")
	case c.Status.Allocation != nil:
		states = append(states, "allocated")
		if len(c.Status.ReservedFor) > 0 {
			states = append(states, "reserved")
		}
	}
	return strings.Join(states, ",")
}

func admissionColumns(resource string) *columns {
	webhooks := numberColumn("Webhooks", "Webhooks indicates the number of webhooks registered in this configuration")
	paramKind := textColumn("ParamKind", "ParamKind specifies the kind of resources used to parameterize this policy")
	policy := textColumn("PolicyName", "PolicyName indicates the policy definition which the policy binding binded to")
	paramRef := textColumn("ParamRef", "ParamRef indicates the param resource which sets the configuration param")
	switch resource {
	case "mutatingwebhookconfigurations":
		return rowsOf(func(c *admissionv1.MutatingWebhookConfiguration) []any {
			return []any{c.Name, len(c.Webhooks), ageOf(c)}
		}, nameColumn(), webhooks, ageColumn())
	case "validatingwebhookconfigurations":
		return rowsOf(func(c *admissionv1.ValidatingWebhookConfiguration) []any {
			return []any{c.Name, len(c.Webhooks), ageOf(c)}
		}, nameColumn(), webhooks, ageColumn())
	case "validatingadmissionpolicies":
		return rowsOf(func(p *admissionv1.ValidatingAdmissionPolicy) []any {
			return []any{p.Name, len(p.Spec.Validations), parameterKind(p.Spec.ParamKind), ageOf(p)}
		}, nameColumn(), numberColumn("Validations", "Validations indicates the number of validation rules defined in this configuration"), paramKind, ageColumn())
	case "mutatingadmissionpolicies":
		return rowsOf(func(p *admissionv1.MutatingAdmissionPolicy) []any {
			return []any{p.Name, len(p.Spec.Mutations), parameterKind(p.Spec.ParamKind), ageOf(p)}
		}, nameColumn(), numberColumn("Mutations", "Mutation indicates the number of mutations rules defined in this configuration"), paramKind, ageColumn())
	case "validatingadmissionpolicybindings":
		return rowsOf(func(b *admissionv1.ValidatingAdmissionPolicyBinding) []any {
			return []any{b.Name, b.Spec.PolicyName, parameterName(b.Spec.ParamRef), ageOf(b)}
		}, nameColumn(), policy, paramRef, ageColumn())
	case "mutatingadmissionpolicybindings":
		return rowsOf(func(b *admissionv1.MutatingAdmissionPolicyBinding) []any {
			return []any{b.Name, b.Spec.PolicyName, parameterName(b.Spec.ParamRef), ageOf(b)}
		}, nameColumn(), policy, paramRef, ageColumn())
	default:
		return nil
	}
}

func parameterKind(k *admissionv1.ParamKind) string {
	if k == nil {
		return unset
	}
	return k.APIVersion + "/" + k.Kind
}

// parameterName is the parameter of a binding, or the selector that finds it. Whether a parameter without a namespace is in one
// cannot be told here.
func parameterName(r *admissionv1.ParamRef) string {
	switch {
	case r == nil:
		return unset
	case r.Name != "":
		return orText(r.Namespace, "*") + "/" + r.Name
	case r.Selector != nil:
		return r.Selector.String()
	default:
		return unset
	}
}
