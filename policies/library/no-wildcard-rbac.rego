# METADATA
# title: No wildcards in RBAC
# description: |
#   Refuses roles with a rule that has an asterisk in verbs, apiGroups, resources or nonResourceURLs: it would also grant what is added
#   later. Rules that the role had before stay possible. Members of the parameter exemptGroups are not asked.
# custom:
#   type: validate
#   action: deny
#   match:
#     groups: [rbac.authorization.k8s.io]
#     kinds: [Role, ClusterRole]
#   parameters:
#     exemptGroups: ["system:masters"]
package gatehouse.policy.no_wildcard_rbac

exempt if {
	some group in input.user.groups
	group in input.parameters.exemptGroups
}

deny contains {"msg": sprintf("%s must not have the wildcard %q", [list, value]), "field": field} if {
	not exempt
	some i, rule in input.object.rules
	not held(rule)
	some list in ["verbs", "apiGroups", "resources", "nonResourceURLs"]
	some j, value in rule[list]
	contains(value, "*")
	field := sprintf("rules[%d].%s[%d]", [i, list, j])
}

held(rule) if rule in input.oldObject.rules
