# METADATA
# title: Locked users
# description: |
#   Refuses every request of the parameters users and groups, whatever RBAC allows: the quick answer to a leaked credential.
# custom:
#   type: authorize
#   match: {}
#   parameters:
#     users: []
#     groups: []
package gatehouse.policy.deny_users

deny contains "this user is locked" if input.user.name in input.parameters.users

deny contains sprintf("group %q is locked", [group]) if {
	some group in input.user.groups
	group in input.parameters.groups
}
